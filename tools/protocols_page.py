"""The table of docs/protocols.md: what each preset asks of each dataset, for each family.

``python -m tools.protocols_page`` prints it, with ``--write`` it replaces the one in the page.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.prompts import Prompt, find_prompts, preset_names
from blip_fixtures.data.samples import Sample
from blip_fixtures.words import Decoding, FamilyKind

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parent.parent / "docs" / "protocols.md"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
HEADS = (
    "preset",
    "dataset",
    "families",
    "prompt",
    "OCR tokens",
    "decoding",
    "length penalty",
    "repetition penalty",
    "new tokens",
)
FAMILIES = {
    "InstructBLIP with T5": (FamilyKind.INSTRUCTBLIP, FamilyKind.ENCODER_DECODER),
    "InstructBLIP with Vicuna": (FamilyKind.INSTRUCTBLIP, FamilyKind.DECODER_ONLY),
    "BLIP-2 with T5": (FamilyKind.BLIP2, FamilyKind.ENCODER_DECODER),
    "BLIP-2 with OPT": (FamilyKind.BLIP2, FamilyKind.DECODER_ONLY),
}
# A brace stands for what a row has.
_SAMPLE = Sample(
    id="",
    open_image=lambda: Image.new("RGB", (1, 1)),
    question="{}",
    references=(),
    choices=("{}", "{}"),
    context="{}",
    ocr_tokens=("{}",),
)


def table() -> str:
    """The table as Markdown, a row for each protocol; families that share one share its row."""
    rows = [HEADS, ("---",) * len(HEADS)]
    for preset in preset_names():
        for dataset in dataset_names():
            prompt = find_prompts(preset).of(dataset)
            shared: dict[Prompt, list[str]] = {}
            for family, kinds in FAMILIES.items():
                shared.setdefault(prompt.of_family(kinds), []).append(family)
            for protocol, families in shared.items():
                who = "all" if len(shared) == 1 else ", ".join(families)
                rows.append((f"`{preset}`", find_dataset(dataset).label, who, *_cells(protocol)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(protocol: Prompt) -> tuple[str, ...]:
    asked = " / ".join(f"`{line}`" for line in protocol.render(_SAMPLE).splitlines())
    ocr = f"the first {protocol.ocr_limit}" if protocol.ocr_limit else "-"
    if protocol.decoding == Decoding.RANK:
        return asked, ocr, str(protocol.decoding), "-", "-", "-"
    is_beam = protocol.decoding == Decoding.BEAM
    most = "--blip-new-tokens" if protocol.max_new_tokens is None else str(protocol.max_new_tokens)
    return (
        asked,
        ocr,
        f"{protocol.num_beams} beams" if is_beam else str(protocol.decoding),
        f"{protocol.length_penalty:g}" if is_beam else "-",
        f"{protocol.repetition_penalty:g}" if protocol.repetition_penalty != 1 else "-",
        f"{protocol.min_new_tokens} to {most}" if protocol.min_new_tokens else f"up to {most}",
    )


def page(text: str) -> str:
    """The text of the page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the table in docs/protocols.md")
    if parser.parse_args(arguments).write:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
