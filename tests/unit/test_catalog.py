"""The catalog's architectures, and what the meta device tells of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from blip_fixtures.case import checkpoint_name
from blip_fixtures.checkpoints.architecture import build_on_meta, weight_bytes
from blip_fixtures.checkpoints.catalog import CATALOG, catalog_config
from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.families.languages.t5.weights import has_own_head
from blip_fixtures.report.prose import load_prose
from blip_fixtures.words import LANGUAGES

# Parameters of the published checkpoints.
PARAMETERS = {
    "Salesforce/instructblip-flan-t5-xl": 4_022_969_088,
    "Salesforce/instructblip-flan-t5-xxl": 12_310_119_168,
    "Salesforce/instructblip-vicuna-7b": 7_913_726_720,
    "Salesforce/instructblip-vicuna-13b": 14_192_093_952,
    "Salesforce/blip2-opt-2.7b": 3_744_761_856,
    "Salesforce/blip2-opt-6.7b": 7_752_869_376,
    "Salesforce/blip2-flan-t5-xl": 3_942_446_592,
    "Salesforce/blip2-flan-t5-xxl": 12_229_596_672,
    # More positions of patches, 26 x 26 where there were 16 x 16.
    "Salesforce/blip2-opt-2.7b-coco": 3_744_761_856 + (26**2 - 16**2) * 1408,
    "Salesforce/blip2-opt-6.7b-coco": 7_752_869_376 + (26**2 - 16**2) * 1408,
    "Salesforce/blip2-flan-t5-xl-coco": 3_942_446_592 + (26**2 - 16**2) * 1408,
}


def test_every_entry_has_a_known_number_of_parameters() -> None:
    assert CATALOG.keys() == PARAMETERS.keys()


@pytest.mark.parametrize("model", CATALOG)
def test_parameters_on_the_meta_device(model: str) -> None:
    built = build_on_meta(CATALOG[model])
    assert sum(parameter.numel() for parameter in built.parameters()) == PARAMETERS[model]
    assert all(parameter.is_meta for parameter in built.parameters())


def test_without_a_head_of_its_own_the_model_is_smaller() -> None:
    config = catalog_config("Salesforce/instructblip-flan-t5-xl")
    assert config is not None
    del config["text_config"]["tie_word_embeddings"]
    tied = sum(parameter.numel() for parameter in build_on_meta(config).parameters())
    assert PARAMETERS["Salesforce/instructblip-flan-t5-xl"] - tied == 32128 * 2048


def test_the_published_configuration_and_what_transformers_saves_of_it_have_the_same_head() -> None:
    config = catalog_config("Salesforce/instructblip-flan-t5-xl")
    assert config is not None
    saved = build_on_meta(config).config.to_dict()
    assert saved["text_config"]["tie_word_embeddings"] is True
    assert has_own_head(saved["text_config"])
    assert has_own_head(config["text_config"])


def test_a_copy_leaves_the_catalog_alone() -> None:
    config = catalog_config("Salesforce/instructblip-flan-t5-xl")
    assert config is not None
    config["vision_config"]["hidden_size"] = 1
    assert CATALOG["Salesforce/instructblip-flan-t5-xl"]["vision_config"]["hidden_size"] == 1408


def test_what_the_catalog_lacks() -> None:
    assert catalog_config("nobody/nothing") is None


@pytest.mark.parametrize(("optimization", "dtype"), [("fp16", "float16"), ("bf16", "bfloat16"), ("fp32", "float32")])
def test_each_tensor_has_the_dtype_that_loading_gives_it(checkpoint: Checkpoint, optimization: str, dtype: str) -> None:
    built = build_on_meta(checkpoint.config, dtype)
    loaded = load_model(checkpoint, "cpu", optimization, dtype)

    def dtypes(model: Any) -> dict[str, Any]:
        return {name: parameter.dtype for name, parameter in model.named_parameters()}

    assert dtypes(built) == dtypes(loaded.model)
    assert weight_bytes(built) == loaded.weights_bytes


def test_shapes_are_those_of_the_loaded_model(checkpoint: Checkpoint, loaded: LoadedModel) -> None:
    built = build_on_meta(checkpoint.config)
    assert {name: tensor.shape for name, tensor in built.state_dict().items()} == {
        name: tensor.shape for name, tensor in loaded.model.state_dict().items()
    }


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [("vision_config", "hidden_act", "none"), ("text_config", "feed_forward_proj", "a-b-c"), ("", "id2label", 5)],
)
def test_a_configuration_that_makes_no_model(checkpoint: Checkpoint, part: str, setting: str, value: object) -> None:
    """Its numbers are checked before; what a text stands for is known to the library alone."""
    config = copy.deepcopy(checkpoint.config)
    (config[part] if part else config)[setting] = value
    with pytest.raises(ValueError, match=r"its configuration makes no model \(.*\)"):
        build_on_meta(config)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("model", CATALOG)
def test_the_document_describes_its_parts(model: str, lang: str) -> None:
    _, parts = load_prose(lang).checkpoint(checkpoint_name(model))
    assert len(parts) == 3
