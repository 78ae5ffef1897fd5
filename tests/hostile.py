"""Texts that nobody gives on purpose, for every option and argument."""

from __future__ import annotations

# By what is hostile about each.
TEXTS = {
    "empty": "",
    "blank": " \t ",
    "zero": "0",
    "negative": "-1",
    "a fraction": "1.5",
    "a word": "nonsense",
    "a billion": "1000000000",
    "5,000 digits": "9" * 5_000,
    "5,000 zeros": "0" * 5_000,
    "5,000 characters": "x" * 5_000,
    "100,000 characters": "x" * 100_000,
    "a long path": "folder/" * 2_000,
    "a long name": f"folder/{'x' * 256}",
    "NUL": "a\0b",
    "a newline": "a\nERROR: b",
    "an escape sequence": "\x1b[31ma",
    "no UTF-8": "a\udcff",
    "a mark of direction": "a\u202eb",
    "a separator of lines": "a\u2028b",
    "other digits": "\u0663",
    "superscript": "\u00b2",
    "infinity": "inf",
    "not a number": "nan",
    "an open quote": "'a",
    "an expression": "((((a",
    "a list": ",,,",
    "a sign": "=",
    "a sign and a long value": f"batch_size={'9' * 5_000}",
    "a percent sign": "%s%d%(x)s{x}",
    "a device far away": "cuda:99999999999999999999",
    "a rule without an end": f"latency:{'9' * 5_000}%",
}
