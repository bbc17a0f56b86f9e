"""The Aes model's files and backbones: what is saved is what is loaded, and pictures of any size have a score."""

import json
import sys
import types

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, ResNetConfig, ResNetModel, ViTConfig, ViTModel

from components.data.decode import square
from components.models.aes_backbones import load_backbone, squared
from components.models.aes_config import AesBackbone
from components.models.aes_model import AesModel, load_aes, save_aes
from components.models.image_features import NUM_FEATURES, ImageFeatures, extract
from components.models.linear_probe import LinearProbe
from components.models.score_head import CLASSES, LEVELS

LITE0 = AesBackbone("lite0", None, None, 64)


def model(backbone: AesBackbone = LITE0, d: int = NUM_FEATURES) -> AesModel:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.05, (LEVELS, d)).astype(np.float32)
    head = LinearProbe(CLASSES, weight, np.zeros(LEVELS, np.float32))
    return AesModel(backbone, head, "made by a test", {"labels": "none"})


def pictures(*shapes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


def test_what_is_saved_is_what_is_loaded(tmp_path):
    made = model()
    save_aes(made, tmp_path / "aes")
    assert sorted(file.name for file in (tmp_path / "aes").iterdir()) == ["aes.json", "aes.safetensors"]
    loaded = load_aes(tmp_path / "aes")
    assert (loaded.backbone, loaded.description, loaded.facts) == (LITE0, "made by a test", {"labels": "none"})
    images = np.stack(pictures((64, 64), (64, 64)))
    np.testing.assert_array_equal(loaded.scores(images), made.scores(images))


def test_scores_are_expectations_over_the_levels_of_the_features():
    made, images = model(), pictures((64, 64), (30, 90))
    features = made.features(images)
    squares = np.stack([square(image, 64) for image in images])
    np.testing.assert_array_equal(features, extract(ImageFeatures(64, "bf16"), squares))
    told = made.distributions(features)
    np.testing.assert_allclose(told.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(made.scores(images), told @ np.arange(101), rtol=1e-5)
    np.testing.assert_array_equal(made.scores(images), made.scores_of_features(features))


def test_no_picture_has_no_score():
    assert model().scores(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0,)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no aes.json.*easel run --until aes"):
        load_aes(tmp_path)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda facts: json.dumps(facts | {"classes": ["better", "worse"]}),
        lambda facts: json.dumps(facts | {"backbone": {"kind": "lite0"}}),
        lambda facts: json.dumps(facts | {"backbone": facts["backbone"] | {"name": "x"}}),
        lambda facts: json.dumps({key: value for key, value in facts.items() if key != "description"}),
        lambda facts: "[]",
        lambda facts: "{",
    ],
)
def test_a_model_of_another_kind_is_refused_in_one_line(tmp_path, spoilt):
    save_aes(model(), tmp_path)
    facts = json.loads((tmp_path / "aes.json").read_text())
    (tmp_path / "aes.json").write_text(spoilt(facts))
    with pytest.raises(ValueError, match=r"no Aes model that can be read.*make it again") as caught:
        load_aes(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(tmp_path):
    save_aes(model(), tmp_path)
    (tmp_path / "aes.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="no Aes model that can be read"):
        load_aes(tmp_path)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Tiny image networks of three shapes, with the processor that says how they see."""
    folder, small = tmp_path_factory.mktemp("networks"), {"num_hidden_layers": 1, "num_attention_heads": 2}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "image_size": 32, "patch_size": 8, **small}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {
            "vit": ViTModel(ViTConfig(**sizes), add_pooling_layer=False),
            "resnet": ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
            "clip": CLIPModel(
                CLIPConfig(
                    text_config={"hidden_size": 16, "intermediate_size": 32, "vocab_size": 20, **small},
                    vision_config=sizes,
                    projection_dim=8,
                )
            ),
        }
    for name, network in made.items():
        network.save_pretrained(folder / name)
        size = {"height": 32, "width": 32}
        CLIPImageProcessor(size=size, do_center_crop=False, crop_size=size).save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("name", ["vit", "resnet", "clip"])
def test_an_image_network_of_transformers_is_a_backbone(networks, name):
    see = load_backbone(AesBackbone("transformers", str(networks / name), None, 0))
    images = pictures((40, 40), (50, 30), (33, 70))
    rows = see(images)
    assert rows.shape == (3, 16)
    np.testing.assert_allclose(see(images[1:2])[0], rows[1], atol=1e-5)  # no picture changes another's features
    assert np.abs(rows[0] - rows[1]).max() > 1e-3
    assert model(AesBackbone("transformers", str(networks / name), None, 0), 16).scores(images).shape == (3,)


def test_a_network_that_is_not_there_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="no image network of transformers here") as caught:
        load_backbone(AesBackbone("transformers", str(tmp_path), None, 0))
    assert "\n" not in str(caught.value)


def test_weights_in_pickles_are_refused(networks, tmp_path):
    made = ViTModel.from_pretrained(networks / "vit", add_pooling_layer=False)
    (tmp_path / "config.json").write_text((networks / "vit" / "config.json").read_text())
    CLIPImageProcessor().save_pretrained(tmp_path)
    torch.save(made.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no image network"):
        load_backbone(AesBackbone("transformers", str(tmp_path), None, 0))


@pytest.mark.parametrize(
    ("kind", "name", "px", "told"),
    [("lite0", "x", 64, "only lite0"), ("timm", None, 64, "only lite0"), ("lite0", None, 40, "32")],
)
def test_a_backbone_that_cannot_be_is_refused(kind, name, px, told):
    with pytest.raises(ValueError, match=told):
        AesBackbone(kind, name, None, px)


def test_without_the_package_timm_its_backbones_are_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"needs the package timm.*pip install 'easel\[timm\]'") as caught:
        load_backbone(AesBackbone("timm", "resnet18", None, 0))
    assert "\n" not in str(caught.value)


def test_a_network_of_timm_sees_as_its_own_settings_say(monkeypatch):
    """The package is an extra and not among what is tested with: one of its interface stands in for it."""
    made = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 4, 4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    asked = []

    def create_model(name, **settings):
        asked.append((name, settings))
        return made

    data = types.SimpleNamespace(
        resolve_model_data_config=lambda network: {"input_size": (3, 16, 16)},
        create_transform=lambda input_size, is_training: (
            lambda image: torch.from_numpy(
                np.asarray(image.resize(input_size[1:])).transpose(2, 0, 1) / np.float32(255)
            )
        ),
    )
    monkeypatch.setitem(sys.modules, "timm", types.SimpleNamespace(create_model=create_model, data=data))
    see = load_backbone(AesBackbone("timm", "resnet18.a1_in1k", None, 0))
    assert see(pictures((20, 30), (40, 40))).shape == (2, 5)
    assert asked == [("resnet18.a1_in1k", {"pretrained": True, "num_classes": 0})]


def test_pictures_are_squared_as_training_pictures_are():
    for image in pictures((64, 64), (30, 91), (127, 20), (200, 301)):
        np.testing.assert_array_equal(squared(image, 64), square(image, 64))
