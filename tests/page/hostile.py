"""A record that has markup in every place where a text may stand."""

from __future__ import annotations

from typing import Any

import msgspec

from blip_fixtures.record import Record, as_plain
from tests.unit.hostile import texts_of, with_value
from tests.unit.test_hostile_records import full_record

EVIL = """"><script>window.hacked = 1</script></script><img src=x onerror='window.hacked=1'>{{ 7*7 }}${7*7}'`\u2028"""
# A pattern that no file name fits, and words that a record checks.
_OPEN_MAPPINGS = ("applied", "quality", "missing")


def hostile_record(**overrides: Any) -> Record:
    """Each text is replaced, and each key that may be anything, where the schema allows it."""
    plain = as_plain(full_record(**overrides))
    for name in _OPEN_MAPPINGS:
        plain[name] = {f"{EVIL}{number}": value for number, value in enumerate(plain[name].values())}
    for path in list(texts_of(plain)):
        changed = with_value(plain, path, EVIL)
        try:
            msgspec.convert(changed, Record)
        except msgspec.ValidationError:
            continue
        plain = changed
    return msgspec.convert(plain, Record)
