"""What a record says to prove that its optimization took effect, in the document's language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.formats import MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.report.prose import Prose


def applied_text(applied: Mapping[str, object], prose: Prose) -> str:
    """``graphs: 12; parameters by dtype: float16 2342528, float32 301056``."""
    return "; ".join(f"{prose.fact_name(name)}: {_fact(value, prose)}" for name, value in applied.items())


def _fact(value: object, prose: Prose) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{prose.fact_name(key, inner=True)} "
            + (f"({_fact(inner, prose)})" if isinstance(inner, dict) else _fact(inner, prose))
            for key, inner in value.items()
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(_fact(item, prose) for item in value)
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return prose.say("fact_yes" if value else "fact_no")
    return prose.number(f"{value:.3g}") if isinstance(value, float) else str(value)
