"""Settings: everything that decides whether two records measured the same thing the same way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.case import Case, NewTokens
from blip_fixtures.data.prompts import Prompt
from blip_fixtures.record import SCHEMA_VERSION
from blip_fixtures.words import DataErrors, EnergyMode, PassName

if TYPE_CHECKING:
    from blip_fixtures.job import Job


class DeviceIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which device it was: the processor's or the card's name, the card's UUID, and how many threads torch used.

    `host` is that of a cluster's machine. At home it is left out, and so it is not part of the digest.
    """

    name: str | None
    uuid: str | None = None
    threads: int | None = None
    host: str | msgspec.UnsetType = msgspec.UNSET


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The conditions of one record. `digest` is its `config_hash`, by which a finished case is known again."""

    case: Case
    checkpoint_revision: str
    checkpoint_files: str
    data_revision: str
    data_split: str | None
    data_errors: DataErrors
    limit: int | None
    prompt: Prompt
    new_tokens: NewTokens
    passes: tuple[PassName, ...]
    rounds: int | None
    warmup_rounds: int
    energy: EnergyMode
    device: DeviceIdentity
    versions: Mapping[str, str | None]
    python: str
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        checkpoint_revision: str,
        checkpoint_files: str,
        data_revision: str,
        data_split: str | None = None,
        device: DeviceIdentity,
        versions: Mapping[str, str | None],
        python: str,
    ) -> Settings:
        """What the job asks for, as its checkpoint's family takes it, on what it ran."""
        return cls(
            case=job.case,
            checkpoint_revision=checkpoint_revision,
            checkpoint_files=checkpoint_files,
            data_revision=data_revision,
            data_split=data_split,
            data_errors=job.samples.errors,
            limit=job.samples.limit,
            prompt=job.prompt,
            new_tokens=job.new_tokens,
            passes=job.passes,
            rounds=job.rounds,
            warmup_rounds=job.warmup_rounds,
            energy=job.energy,
            device=device,
            versions=versions,
            python=python,
        )

    @property
    def digest(self) -> str:
        """The first 16 hex digits of a SHA-256 over all of it."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]
