"""What an option is: how it is declared, and how its value is found and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from blip_fixtures.bounds import MOST_OF_PATH, MOST_OF_TEXT, readable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Spec:
    """One option: `--blip-<name>` on the command line, `blip_<name>` in the ini file."""

    name: str
    default: str
    parse: Callable[[Any], Any]
    metavar: str
    help: str
    field: str | None = None
    repeatable: bool = False
    is_switch: bool = False

    @property
    def flag(self) -> str:
        """The command line's name."""
        return f"--blip-{self.name}"

    @property
    def ini(self) -> str:
        """The ini file's name."""
        return f"blip_{self.name.replace('-', '_')}"

    @property
    def dest(self) -> str:
        """The field of `Options` that holds the value."""
        return self.field or self.name.replace("-", "_")

    def add(self, parser: pytest.Parser, group: pytest.OptionGroup) -> None:
        """Declare the option and its ini twin."""
        default = f" Default: {self.default}." if self.default else ""
        text = f"{self.help}{default} Ini: {self.ini}."
        if self.is_switch:
            group.addoption(self.flag, dest=self.ini, action="store_true", default=None, help=text)
            parser.addini(self.ini, f"ini twin of {self.flag}", type="bool", default=False)
            return
        group.addoption(
            self.flag,
            dest=self.ini,
            action="append" if self.repeatable else "store",
            metavar=self.metavar,
            default=None,
            help=text,
        )
        kind: Literal["args", "string"] = "args" if self.repeatable else "string"
        parser.addini(self.ini, f"ini twin of {self.flag}", type=kind, default=None)

    def resolve(self, config: pytest.Config) -> Any:
        """The parsed value: the command line's, else the ini file's, else the default."""
        given: Any = config.getoption(self.ini)
        where = self.flag
        if given is None:
            given, where = self._from_ini(config), self.ini
        if self.is_switch:
            return bool(given)
        if given is None or given == []:
            if not self.default:
                return self.parse([]) if self.repeatable else None
            given = [self.default] if self.repeatable else self.default
        try:
            for text in given if self.repeatable else [given]:
                readable(text, MOST_OF_PATH)
            return self.parse(given)
        except ValueError as error:
            # Its patterns take as long as loading the rest of the plugin.
            from blip_fixtures.privacy import without_credentials

            shown = shortened(without_credentials(" ".join(given) if self.repeatable else given))
            said = shortened(without_credentials(str(error)), MOST_OF_TEXT)
            raise pytest.UsageError(f"{where} cannot be {shown!r}: {said}") from None

    def _from_ini(self, config: pytest.Config) -> Any:
        """What the ini file has. Raises `pytest.UsageError` for quotes without an end, words that are no switch."""
        try:
            return config.getini(self.ini)
        except (TypeError, ValueError, pytest.UsageError) as error:
            said = shortened(str(error), MOST_OF_TEXT)
            raise pytest.UsageError(f"{self.ini} cannot be read from the ini file: {said}; mend it there") from None
