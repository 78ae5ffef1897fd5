"""What a parquet file says of itself, before its rows are read: how many, and which of its columns are taken as what.

A file may declare in its metadata that a column holds pictures by path or address, and a reader that believes it opens
them. So nothing of the metadata is believed: the columns that are read are chosen by name, and each becomes what its
plain type says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.datasets.base import IMAGE
from blip_fixtures.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The columns that a message lists; a file may have thousands.
_MOST_LISTED = 20


class ParquetError(ValueError):
    """A file that cannot be read as a dataset; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Footer:
    """The number of a file's rows, and the plain type of each column that is read; `picture` is one of them."""

    rows: int
    types: dict[str, Any]
    picture: str


def read_footer(path: Path, dataset: str) -> Footer:
    """What `path` holds for `dataset`. Raises `ParquetError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_metadata(path)
        schema = found.schema.to_arrow_schema().remove_metadata()
        rows, names = int(found.num_rows), list(schema.names)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(path, error) from None
    _check_columns(path, dataset, names)
    read = find_dataset(dataset).read_of(names)
    picture = next(name for name in find_dataset(dataset).columns[IMAGE] if name in read)
    types = {name: schema.field(names.index(name)).type for name in read}
    for name, kind in types.items():
        if not (_is_picture(kind) if name == picture else _is_plain(kind.value_type if _is_list(kind) else kind)):
            wanted = "encoded pictures are read" if name == picture else "texts, numbers or lists of them are read"
            raise ParquetError(
                f"{path}: the column {name} has the type {shown(str(kind))[1:-1]}, and {wanted}; write the file again"
            )
    return Footer(rows, types, picture)


def unreadable(path: Path, error: BaseException) -> ParquetError:
    """An error for a file that a library could make nothing of."""
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ParquetError(f"cannot read {path}: {shown(said)[1:-1]}; write the file again")


def features(footer: Footer) -> Any:
    """The columns as `datasets` shall take them, whatever the file's own metadata says."""
    import datasets
    import pyarrow as pa

    def feature(kind: Any) -> Any:
        if _is_list(kind):
            return [feature(kind.value_type)]
        return datasets.Value("string" if pa.types.is_dictionary(kind) else str(kind))

    taken = {name: feature(kind) for name, kind in footer.types.items() if name != footer.picture}
    return datasets.Features({**taken, footer.picture: datasets.Image(decode=False)})


def _check_columns(path: Path, dataset: str, names: Sequence[str]) -> None:
    known = find_dataset(dataset)
    missing = known.missing(names)
    listed = [shown(name)[1:-1] for name in sorted(set(names))[:_MOST_LISTED]]
    if missing:
        expected = ", ".join(" or ".join(each) for each in known.columns.values())
        raise ParquetError(
            f"{path} has the columns {', '.join(listed)}; {dataset} needs {expected}; missing: {', '.join(missing)}"
        )
    twice = [name for name in known.read_of(dict.fromkeys(names)) if names.count(name) > 1]
    if twice:
        raise ParquetError(f"{path} has {names.count(twice[0])} columns {twice[0]}; write the file again with one")


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return bool(_is_text(kind.value_type))
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    return bool(_is_text(kind) or any(test(kind) for test in tests))


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind))


def _is_picture(kind: Any) -> bool:
    """Bytes, a path, or a structure with one of them or both."""
    from pyarrow import types

    def is_bytes(inner: Any) -> bool:
        return bool(types.is_binary(inner) or types.is_large_binary(inner) or types.is_null(inner))

    if not types.is_struct(kind):
        return is_bytes(kind) or _is_text(kind)
    parts = {field.name: field.type for field in kind}
    of_bytes, of_path = parts.get("bytes"), parts.get("path")
    return (
        bool(parts.keys() & {"bytes", "path"})
        and (of_bytes is None or is_bytes(of_bytes))
        and (of_path is None or _is_text(of_path) or bool(types.is_null(of_path)))
    )
