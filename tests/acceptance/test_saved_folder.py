"""A folder that `save_pretrained` wrote, as people have it on their disks: sharded, in fp32, of another size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint
from blip_fixtures.checkpoints.synthetic import build_random
from blip_fixtures.record import read_records
from tests.acceptance.test_main_job import pytest_process


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An InstructBLIP with one layer less in the vision encoder than the packaged one, in several files."""
    checkpoint = resolve_checkpoint(PACKAGED)
    config = {**checkpoint.config, "vision_config": {**checkpoint.config["vision_config"], "num_hidden_layers": 2}}
    folder = tmp_path_factory.mktemp("saved") / "instructblip-mine"
    build_random(config, "cpu", "float32").save_pretrained(folder, max_shard_size="3MB")
    load_processor(checkpoint).save_pretrained(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return folder


def test_a_saved_folder_is_measured(saved: Path, folder: Path) -> None:
    done = pytest_process(
        "benchmarks",
        f"--blip-model={saved}",
        *("-k", "test_device or (test_image_size and 0336 and coco)"),
        *("--blip-device=cpu", "--blip-energy=off"),
        *("--blip-limit=16", "--blip-rounds=2", "--blip-warmup-rounds=1", "--blip-new-tokens=5"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = read_records(folder / "reports" / "local" / "instructblip-mine" / "records.json")
    assert [record.status for record in records] == ["ok", "ok"]
    for record in records:
        assert record.case.weights == "checkpoint"
        assert record.quality["wer"].value is not None
        assert record.flops is not None
        assert record.phases is not None
        assert record.limit is not None
        assert record.memory is not None
        assert record.memory.weights_bytes == weights_in_half_precision(saved)


def weights_in_half_precision(saved: Path) -> int:
    """Bytes under fp16, with what transformers keeps in fp32, counted from the model itself."""
    from transformers import InstructBlipForConditionalGeneration

    model = InstructBlipForConditionalGeneration.from_pretrained(saved, dtype=torch.float16)
    unique = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return sum(tensor.nbytes for tensor in unique.values())
