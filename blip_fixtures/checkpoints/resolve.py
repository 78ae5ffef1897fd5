"""From what `--blip-model` names to a folder in the hub's layout. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

PACKAGED = "instructblip-tiny"
MODEL_TYPE = "instructblip"
_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
_DIGEST_BLOCK_BYTES = 16 * 2**20


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights, configuration and processor in one folder. `revision` changes when the weights do."""

    model: str
    folder: Path
    revision: str
    config: dict[str, Any]

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
        """Text tokens that the Q-Former has positions for."""
        return int(self.config["qformer_config"].get("max_position_embeddings", 512))


def resolve_checkpoint(model: str) -> Checkpoint:
    """The checkpoint that `model` names: the packaged one, a folder, or a hub id (fetched when it is not cached).

    Raises `CheckpointError` in one sentence for a name that leads to no usable InstructBLIP.
    """
    if model == PACKAGED:
        folder = Path(str(files("blip_fixtures.checkpoints").joinpath(PACKAGED)))
    elif Path(model).is_dir():
        folder = Path(model)
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", model) and not model.startswith("."):
        folder = _fetch(model)
    else:
        raise CheckpointError(
            f"unknown checkpoint {model!r}: it is neither a folder nor a hub id (owner/name); "
            f"give one of these, or {PACKAGED} for the packaged checkpoint"
        )
    config = _read_config(model, folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise CheckpointError(
            f"checkpoint {model!r} has no *.safetensors file in {folder}; only safetensors are loaded, "
            "save it again with save_pretrained"
        )
    return Checkpoint(model=model, folder=folder, revision=_digest(weights), config=config)


def _fetch(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        cause = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"cannot fetch checkpoint {hub_id!r} from the hub ({type(error).__name__}: {cause}); check the id and the "
            f"network, or give a local folder or {PACKAGED}"
        ) from None


def _read_config(model: str, folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"checkpoint {model!r} has no config.json in {folder}; give a folder that save_pretrained wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; save the checkpoint again") from None
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != MODEL_TYPE:
        raise CheckpointError(
            f"checkpoint {model!r} is of model type {found!r} and the suite measures {MODEL_TYPE!r}; "
            "give an InstructBLIP checkpoint"
        )
    return dict(config)


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
