"""What the environment of a record holds under the names that readers know. Further facts may stand beside them."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from blip_fixtures.record.units import Bytes, Count, Key, Text, Word

MOST_CARDS = 1_000
MOST_SETS = 100
_Load = Annotated[float, Meta(ge=0, le=1e9)]
_Megahertz = Annotated[float, Meta(ge=0, le=1e9)]


class Environment(TypedDict, total=False):
    """The machine, the versions, the moment, and how the run was started. `null` is what could not be found out."""

    host: Word | None
    cpu_model: Word | None
    cpu_vendor: Word | None
    cpu_family: Count | None
    cpu_model_number: Count | None
    cpu_stepping: Count | None
    cpu_instruction_sets: Annotated[list[Word], Meta(max_length=MOST_SETS)] | None
    cpu_cores_physical: Count | None
    cpu_cores_logical: Count | None
    torch_threads: Count | None
    memory_bytes: Bytes | None
    gpus: Annotated[list[Word], Meta(max_length=MOST_CARDS)] | None
    gpu_driver: Word | None
    platform: Word | None
    python: Word | None
    versions: Annotated[dict[Key, Word | None], Meta(max_length=MOST_CARDS)] | None
    commit: Word | None
    dirty: bool | None
    command: Text | None
    started_at: Word | None
    load_average: Annotated[list[_Load], Meta(max_length=3)] | None
    cpu_frequency_mhz: _Megahertz | None
    checkpoint_revision: Word | None
    hub_revision: Word | None
