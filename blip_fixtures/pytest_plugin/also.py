"""`--blip-also`: further values of the axis that a sweep varies, as if they had been written in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.pytest_plugin.items import ONLY_ON, is_benchmark, sweep_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.pytest_plugin.options import Options

# The node ids of the benchmarks that vary an axis, by axis.
_VARIED: pytest.StashKey[dict[str, set[str]]] = pytest.StashKey()
_Param = type(pytest.param(0))


def add_values(metafunc: pytest.Metafunc, options: Options) -> None:
    """Give a benchmark the values of `--blip-also` for every axis that it parametrizes with more than one value.

    An axis that it sets to one value is held, not varied.
    """
    varied = metafunc.config.stash.setdefault(_VARIED, {})
    for node in metafunc.definition.listchain():
        for place, mark in enumerate(node.own_markers):
            axis = _only_axis(mark)
            if axis not in options.also:
                continue
            values = _values(mark)
            is_varied = len(values) > 1
            # In any case the mark is written again: what it had may be an iterator, which has been read now.
            node.own_markers[place] = _with_values(mark, axis, values, options.also[axis] if is_varied else ())
            if is_varied:
                varied.setdefault(axis, set()).add(metafunc.definition.nodeid)


def check_also(items: Iterable[pytest.Item], options: Options, config: pytest.Config) -> None:
    """Raise `pytest.UsageError` for a value of `--blip-also` that none of the selected benchmarks has because of it."""
    benchmarks = [item for item in items if is_benchmark(item) and isinstance(item, pytest.Function)]
    for axis, values in options.also.items():
        nodeids = config.stash.get(_VARIED, {}).get(axis, set())
        sweeps = [item for item in benchmarks if item.nodeid.partition("[")[0] in nodeids]
        for value in values:
            if not sweeps:
                names = dict.fromkeys(f"test_{sweep_of(item)}" for item in benchmarks)
                raise pytest.UsageError(
                    f"--blip-also {axis}={value} adds nothing: none of the benchmarks that were selected "
                    f"({', '.join(names)}) varies {axis}; select the sweep that does, or give --blip-baseline "
                    f"{axis}={value} to hold that value"
                )
            if all(item.callspec.params[axis] != value for item in sweeps):
                raise pytest.UsageError(
                    f"--blip-also {axis}={value} adds nothing: what was selected with -k, -m or by its id leaves "
                    f"{axis}={value} out; select it too, or leave the option out"
                )


def _only_axis(mark: pytest.Mark) -> str:
    """The one name that a mark parametrizes, else nothing."""
    if mark.name != "parametrize":
        return ""
    names = _names(mark)
    listed = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    return listed[0] if len(listed) == 1 else ""


def _names(mark: pytest.Mark) -> str | Sequence[str]:
    names: str | Sequence[str] = mark.args[0] if mark.args else mark.kwargs["argnames"]
    return names


def _values(mark: pytest.Mark) -> list[Any]:
    values: Iterable[Any] = mark.args[1] if len(mark.args) > 1 else mark.kwargs["argvalues"]
    if isinstance(_names(mark), str):
        return list(values)
    # Where names come as a list, each value is one too.
    return [value if isinstance(value, _Param) else value[0] for value in values]


def _with_values(mark: pytest.Mark, axis: str, values: Sequence[Any], added: Sequence[str | int]) -> pytest.Mark:
    own = [_everywhere(value) if _plain(value) in added else value for value in values]
    new = [value for value in added if value not in map(_plain, own)]
    given = {name: value for name, value in mark.kwargs.items() if name not in ("argnames", "argvalues")}
    if isinstance(given.get("ids"), (list, tuple)):
        # `None` is an id that pytest makes.
        given["ids"] = [*given["ids"], *[None] * len(new)]
    return pytest.mark.parametrize(axis, [*own, *new], *mark.args[2:], **given).mark


def _plain(value: Any) -> Any:
    return value.values[0] if isinstance(value, _Param) else value


def _everywhere(value: Any) -> Any:
    """A value that the file has for one kind of device alone, now that it was asked for by name."""
    if not isinstance(value, _Param):
        return value
    marks = [mark for mark in value.marks if mark.name != ONLY_ON]
    return pytest.param(*value.values, marks=marks, id=value.id)
