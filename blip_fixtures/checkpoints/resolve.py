"""From what `--blip-model` names to a checkpoint: first its configuration, then its weights. Imports no torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import checkpoint_name
from blip_fixtures.checkpoints.catalog import CATALOG, catalog_config
from blip_fixtures.checkpoints.foreign import ForeignError, check_folder, read_config, shard_names
from blip_fixtures.families import family_of
from blip_fixtures.hub import HubError, UnknownRepositoryError, fetch
from blip_fixtures.spelling import did_you_mean, shown
from blip_fixtures.words import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.families import Family

PACKAGED = "instructblip-tiny"
# What describes a checkpoint is small; its weights are fetched when they are wanted.
CONFIG_FILES = ("*.json", "*.txt", "*.model")
WEIGHT_FILES = ("*.safetensors",)
# Part of the revision of synthetic weights: another recipe gives other numbers.
_SYNTHETIC_RECIPE = 1
_DIGEST_BLOCK_BYTES = 16 * 2**20
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """An architecture and where its weights come from.

    `weights` says whether they are the trained ones or synthetic ones. `folder` holds the files in the
    hub's layout and is `None` for an architecture of the catalog, which has none. `revision` changes when the weights
    do; it is empty until `with_weights` has seen them.
    """

    model: str
    folder: Path | None
    revision: str
    config: dict[str, Any]
    weights: str = Weights.TRAINED
    hub_revision: str | None = None

    @cached_property
    def family(self) -> Family:
        """What is true of its architecture. Raises `ValueError` for a configuration that no family takes."""
        return family_of(self.config, f"checkpoint {self.model!r}")

    @property
    def image_size(self) -> int:
        """Pixels a side that the position embeddings were made for."""
        return int(self.config["vision_config"].get("image_size", 224))

    @property
    def patch_size(self) -> int:
        """Pixels a side of one patch."""
        return int(self.config["vision_config"].get("patch_size", 14))

    @property
    def max_text_tokens(self) -> int:
        """The longest prompt that the architecture has positions for, in text tokens."""
        return self.family.prompt_room(self.config).text_tokens

    def why_impossible(self, image_size: int, text_tokens: int, new_tokens: int = 1) -> str | None:
        """Why the architecture takes no pictures or no prompts of that size with an answer of so many tokens.

        `None` where it takes all.
        """
        if image_size % self.patch_size:
            return (
                f"image size {image_size} is not a multiple of the {self.patch_size} pixel patches of {self.model}; "
                "choose a multiple"
            )
        room = self.family.prompt_room(self.config, new_tokens)
        if text_tokens > room.text_tokens:
            return (
                f"sequence length {text_tokens} is above the {room.text_tokens} positions of {room.part} of "
                f"{self.model}; choose at most that"
            )
        return None

    @property
    def query_tokens(self) -> int:
        """Query vectors that the Q-Former hands to the language model: the image tokens of a prompt."""
        return self.family.query_tokens(self.config)

    @property
    def image_token_id(self) -> int:
        """The token that stands for a query vector in a prompt."""
        return self.family.image_token_id(self.config)


def resolve_checkpoint(model: str, weights: str = Weights.TRAINED, hub_revision: str | None = None) -> Checkpoint:
    """The checkpoint that `model` names, its weights at hand and whole (fetched from the hub when not cached).

    Raises `CheckpointError` in one sentence for a name that leads to no checkpoint of a family that the suite knows.
    """
    return with_weights(find_architecture(model, weights, hub_revision))


def find_architecture(model: str, weights: str = Weights.TRAINED, hub_revision: str | None = None) -> Checkpoint:
    """The configuration that `model` names: the packaged one, a folder's, or a hub id's. No weights are touched.

    With ``random`` weights a hub id must stand in the catalog, and no hub is asked. Raises `CheckpointError`.
    """
    is_hub_id = model != PACKAGED and not _is_folder(model)
    if is_hub_id and not _HUB_ID.fullmatch(model):
        raise CheckpointError(
            f"unknown checkpoint {shown(model)}: it is neither a folder nor a hub id (owner/name); "
            f"give one of these, or {PACKAGED} for the packaged checkpoint{_hint(model)}"
        )
    if hub_revision is not None and (not is_hub_id or weights == Weights.RANDOM):
        raise CheckpointError(
            f"--blip-revision={hub_revision} has no meaning for {model!r} with {weights} weights: only a checkpoint of "
            "the hub has revisions; leave the option out"
        )
    if is_hub_id and weights == Weights.RANDOM:
        config, folder = _catalogued(model), None
    else:
        folder = _folder_of(model, hub_revision)
        config = _read_config(model, folder)
    try:
        family_of(config, f"checkpoint {model!r}")
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    return Checkpoint(
        model=model, folder=folder, revision="", config=config, weights=weights, hub_revision=hub_revision
    )


def with_weights(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its weights seen: fetched where they are the hub's, each file checked for its length.

    Raises `CheckpointError` for weights that are missing, cut off, or pickled.
    """
    if checkpoint.weights == Weights.RANDOM or checkpoint.folder is None:
        return dataclasses.replace(checkpoint, revision=_synthetic_revision(checkpoint.config))
    folder = checkpoint.folder
    if checkpoint.model != PACKAGED and not _is_folder(checkpoint.model):
        folder = _fetch(checkpoint.model, checkpoint.hub_revision, WEIGHT_FILES)
        _check_folder(folder)
    weights = weight_files(checkpoint.model, folder)
    for path in weights:
        _check_whole(checkpoint.model, path)
    return dataclasses.replace(checkpoint, folder=folder, revision=_digest(weights))


def _catalogued(model: str) -> dict[str, Any]:
    config = catalog_config(model)
    if config is None:
        names = ", ".join(map(checkpoint_name, CATALOG))
        raise CheckpointError(
            f"the catalog has no architecture of {shown(model)}; with --blip-weights=random give {PACKAGED}, a folder "
            f"with a config.json, or Salesforce/NAME, where NAME is {names}{_hint(model)}"
        )
    return config


def _hint(model: str) -> str:
    """The end of a sentence about a name that leads nowhere."""
    return did_you_mean(model, [name for name in (PACKAGED, *CATALOG) if name != model])


def _folder_of(model: str, hub_revision: str | None) -> Path:
    if model == PACKAGED:
        return Path(str(files("blip_fixtures.checkpoints").joinpath(PACKAGED)))
    return Path(model) if _is_folder(model) else _fetch(model, hub_revision, CONFIG_FILES)


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112  # `Path.is_dir` raises for a name that no file can have


def _fetch(hub_id: str, hub_revision: str | None, patterns: tuple[str, ...]) -> Path:
    try:
        return fetch(hub_id, hub_revision, patterns)
    except UnknownRepositoryError as error:
        raise CheckpointError(f"cannot fetch checkpoint {hub_id!r}: {error}{_hint(hub_id)}") from None
    except HubError as error:
        raise CheckpointError(f"cannot fetch checkpoint {hub_id!r}: {error}") from None


def _check_folder(folder: Path) -> None:
    """Raises `CheckpointError` for a file that leads out of the folder, or changes what is loaded from it."""
    try:
        check_folder(folder, CONFIG_FILES, WEIGHT_FILES)
    except ForeignError as error:
        raise CheckpointError(f"{error}; give a folder that save_pretrained wrote") from None


def _read_config(model: str, folder: Path) -> dict[str, Any]:
    try:
        if (folder / "config.json").exists():
            _check_folder(folder)
        return read_config(folder / "config.json")
    except FileNotFoundError:
        raise CheckpointError(
            f"checkpoint {model!r} has no config.json in {folder}; give a folder that save_pretrained wrote"
        ) from None
    except ForeignError as error:
        raise CheckpointError(f"{error}; mend it, or save the checkpoint again") from None


def weight_files(model: str, folder: Path) -> list[Path]:
    """What `from_pretrained` will read: one file, or the shards that an index lists."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            shards = shard_names(index)
        except ForeignError as error:
            raise CheckpointError(f"{error}; fetch or save the checkpoint again") from None
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing or not shards:
            raise CheckpointError(
                f"checkpoint {model!r} lacks {', '.join(missing) or 'every weight'} of its index in {folder}; "
                "fetch or save the checkpoint again"
            )
        return [folder / name for name in shards]
    pickled = sorted(path.name for path in folder.glob("*.bin")) + sorted(path.name for path in folder.glob("*.pt"))
    if pickled:
        raise CheckpointError(
            f"checkpoint {model!r} has its weights as pickle only ({pickled[0]}) in {folder}; a pickle can run any "
            "code, so only safetensors are loaded: save it again with save_pretrained"
        )
    raise CheckpointError(
        f"checkpoint {model!r} has no model.safetensors in {folder}; fetch it again with the network up, or save it "
        "again with save_pretrained"
    )


def _check_whole(model: str, path: Path) -> None:
    """Reads the header alone: it says how long the file must be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"the weights of checkpoint {model!r} are broken: {path.name} in {path.parent} is cut off or no "
            f"safetensors file ({error}); fetch or save the checkpoint again"
        ) from None


def _digest(weights: list[Path]) -> str:
    """12 hex digits over each file's name, size, first and last 16 MiB: all of a small file."""
    digest = hashlib.sha256()
    for path in weights:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_DIGEST_BLOCK_BYTES))
            if size > _DIGEST_BLOCK_BYTES:
                file.seek(max(_DIGEST_BLOCK_BYTES, size - _DIGEST_BLOCK_BYTES))
                digest.update(file.read())
    return digest.hexdigest()[:12]


def files_digest(checkpoint: Checkpoint) -> str:
    """12 hex digits over the small files of a checkpoint: configuration, generation settings, processor, tokenizers.

    Empty for an architecture of the catalog, which has none but its configuration.
    """
    if checkpoint.folder is None:
        return ""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in CONFIG_FILES for path in checkpoint.folder.rglob(pattern)}):
        # A name is bytes, of any kind.
        digest.update(os.fsencode(path.relative_to(checkpoint.folder)) + b"\0")
        with path.open("rb") as file:
            while block := file.read(_DIGEST_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()[:12]


def _synthetic_revision(config: Mapping[str, Any]) -> str:
    text = json.dumps([_SYNTHETIC_RECIPE, config], sort_keys=True)
    return f"synthetic-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
