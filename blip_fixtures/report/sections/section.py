"""A section of the document behind the sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Heading

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


@dataclass(frozen=True)
class Section:
    """A heading, the same in every language, and what makes the blocks below it."""

    heading: str
    body: Callable[[Selection, Prose], list[Block]]

    def blocks(self, selection: Selection, prose: Prose) -> list[Block]:
        """The whole section; nothing at all where its body is empty."""
        body = self.body(selection, prose)
        return [Heading(self.heading), *body] if body else []
