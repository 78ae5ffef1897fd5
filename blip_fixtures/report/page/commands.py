"""The command that measures one case again, and nothing else."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.case import DEFAULT_WARMUP_ROUNDS, MIN_ROUNDS, PRESETS, NewTokens, axis_id
from blip_fixtures.report.sweeps import SWEEPS
from blip_fixtures.words import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blip_fixtures.record import Record

# The sweep of the suite that any case fits into: its datasets and sizes are values that may be added.
_ANY = "image_size"
_OWN = ("batch_size", "device", "image_size", "optimization", "sequence_length")
_PACKAGED = "instructblip-tiny"
_SAMPLES, _PACKAGED_SAMPLES = "sample", 64
# A revision of the hub; that of a folder is a shorter digest.
_COMMIT = re.compile("[0-9a-f]{40}")
# What `-k` takes for one word.
_WORD = re.compile(r"[\w:+.-]+")
# Axes that a sweep may hold; the device has an option of its own, and the dataset stands in the id.
_HELD = ("optimization", "batch_size", "image_size", "sequence_length")


def again_command(record: Record) -> str:
    """One line for a shell. Every word of it is quoted, whatever the record says.

    `-k` names the sweep, the value of its axis as it stands in a test's id, between its separators (``int8`` is in
    ``int8_dynamic`` too), and the dataset. What the sweep holds is said by `--blip-baseline`, and the value of its axis
    by `--blip-also`, so that the command does not depend on what conftest.py holds today. A case of a sweep that is not
    the suite's is measured by one of the suite's: it is the same case.
    """
    words = ["pytest", "benchmarks", "-k", _expression(record), *_where(record), *_conditions(record)]
    return foreign.code(shlex.join(words))


def _sweep(record: Record) -> str:
    """One of the suite's that has this dataset."""
    return next((name for name in record.sweeps if name in _OWN), _ANY)


def _expression(record: Record) -> str:
    sweep, case = _sweep(record), record.case
    axis = SWEEPS[sweep].axis
    words = [f"-{axis_id(axis, getattr(case, axis))}-" if axis in _HELD else "", case.dataset]
    return " and ".join([f"test_{sweep}", *(word for word in words if _WORD.fullmatch(word))])


def _where(record: Record) -> Iterator[str]:
    """Device and operating point."""
    case = record.case
    sweep = _sweep(record)
    axis = SWEEPS[sweep].axis
    yield from _option("--blip-device", case.device)
    for name in _HELD:
        value = getattr(case, name)
        if name != axis:
            yield from _option("--blip-baseline", f"{name}={value}")
    if axis in _HELD:
        yield from _option("--blip-also", f"{axis}={getattr(case, axis)}")
    if sweep not in record.sweeps:
        yield from _option("--blip-also", f"dataset={case.dataset}")


def _option(name: str, value: object) -> Iterator[str]:
    """Of a value that looks like an option nobody makes one."""
    yield from (f"{name}={value}",) if str(value).startswith("-") else (name, str(value))


def _conditions(record: Record) -> Iterator[str]:
    """What else was not as it is by default, as far as a record says it."""
    case = record.case
    if case.model != _PACKAGED:
        yield from _option("--blip-model", case.model)
    if case.weights != Weights.TRAINED:
        yield from _option("--blip-weights", case.weights)
    if case.prompts not in (None, PRESETS[0]):
        # A file of one's own is known by its stem and a digest alone.
        yield from _option("--blip-prompts", case.prompts)
    yield from _data(record)
    yield from _generation(record)
    if record.latency is not None:
        rounds = len(record.latency.rounds_s)
        batches = record.data.batches if record.data is not None else None
        if rounds and rounds != max(batches or 0, MIN_ROUNDS):
            yield from _option("--blip-rounds", rounds)
        if record.latency.warmup_rounds not in (None, DEFAULT_WARMUP_ROUNDS):
            yield from _option("--blip-warmup-rounds", record.latency.warmup_rounds)


def _generation(record: Record) -> Iterator[str]:
    """Random weights generate a fixed number of tokens anyway."""
    if record.generation is None:
        return
    asked = NewTokens(record.generation.new_tokens, record.generation.fixed and record.case.weights == Weights.TRAINED)
    if asked != NewTokens():
        yield from _option("--blip-new-tokens", asked)


def _data(record: Record) -> Iterator[str]:
    data = record.data
    if data is None:
        return
    if _COMMIT.fullmatch(data.revision or ""):
        split = f":{data.split}" if data.split is not None else ""
        yield from _option("--blip-dataset", f"{record.case.dataset}={data.source}@{data.revision}{split}")
    elif data.source != _SAMPLES:
        yield from _option("--blip-data", data.source)
    taken = (data.samples or 0) + (data.dropped or 0)
    if taken and taken != (_PACKAGED_SAMPLES if data.source == _SAMPLES else data.split_samples):
        yield from _option("--blip-limit", taken)
