"""Scores as tokens: the mapping, the picture's preparation, and a tiny InternVL saved as real ones are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax
from tiny_internvl import save_internvl
from transformers import InternVLForConditionalGeneration, PreTrainedTokenizerFast

from components.models.aes_config import AesBackbone
from components.models.aes_model import AesModel, load_aes, save_aes
from components.models.score_head import ScoreHead, identity_head, score
from components.models.token_score import QUESTION, TOKENS, tile, token_logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_internvl(tmp_path_factory.mktemp("models") / "tiny")


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((24, 40, 3), (64, 64, 3), (9, 80, 3))]


def test_the_tokens_are_those_of_the_paper():
    assert (len(TOKENS), len(set(TOKENS))) == (101, 101)
    places = {0: "aa", 25: "az", 26: "ca", 50: "cy", 51: "da", 75: "dy", 76: "ea", 100: "ey"}
    assert {place: TOKENS[place] for place in places} == places
    for told in ("25-az", "29-cd", "50-cy", "54-dd", "79-ed", "100-ey"):
        place, token = told.split("-")
        assert told in QUESTION
        assert TOKENS[int(place)] == token


def test_a_picture_is_seen_whole_and_normalised():
    white = tile(np.full((10, 30, 3), 255, np.uint8), 16)
    assert white.shape == (1, 3, 16, 16)
    np.testing.assert_allclose(
        white[0, :, 3, 3], (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-5
    )
    half = np.zeros((8, 32, 3), np.uint8)
    half[:, 16:] = 255
    seen = tile(half, 16)[0, 0]
    assert float(seen[:, 0].max()) < -2
    assert float(seen[:, -1].min()) > 2


def test_the_logits_are_those_of_the_first_place_of_the_answer(folder):
    """Against the network asked by hand, through transformers' own forward pass over the whole text."""
    found = token_logits(str(folder))(pictures())
    model = InternVLForConditionalGeneration.from_pretrained(folder).eval()
    words = PreTrainedTokenizerFast.from_pretrained(folder)
    text = f"<|im_start|> user\n<img>{'<IMG_CONTEXT>' * 4}</img>\n{QUESTION}<|im_end|><|im_start|> assistant\n"
    asked = words(text, return_tensors="pt", add_special_tokens=False)
    numbers = [words.get_vocab()[token] for token in TOKENS]
    for picture, row in zip(pictures(), found, strict=True):
        small = np.asarray(Image.fromarray(picture).resize((32, 32), Image.Resampling.BICUBIC)) / 255
        pixels = torch.tensor((small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            told = model(**asked, pixel_values=pixels).logits[0, -1, numbers]
        np.testing.assert_allclose(row, told.numpy(), atol=1e-4)


def test_it_is_an_aes_model_whose_score_is_the_expectation(folder, tmp_path):
    backbone = AesBackbone("token_score", str(folder), None, 0)
    save_aes(AesModel(backbone, identity_head(), "as its makers trained it", {}), tmp_path / "aes")
    model = load_aes(tmp_path / "aes")
    logits = token_logits(str(folder))(pictures())
    expected = softmax(logits.astype(np.float64), axis=1) @ np.arange(101)
    np.testing.assert_allclose(model.scores(pictures()), expected, atol=1e-3)
    assert len({round(float(one), 4) for one in model.scores(pictures())}) == 3  # it looks at the picture


def test_what_is_no_such_model_is_refused_in_one_line(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: no InternVL in transformers' layout"):
        token_logits(str(tmp_path / "empty"))
    (tmp_path / "makers").mkdir()
    (tmp_path / "makers" / "config.json").write_text('{"model_type": "internvl_chat"}')
    with pytest.raises(ValueError, match=r"convert it with transformers' convert_internvl_weights_to_hf"):
        token_logits(str(tmp_path / "makers"))
    few = save_internvl(tmp_path / "few", TOKENS[:-1])
    with pytest.raises(ValueError, match="its tokenizer has no token 'ey'") as caught:
        token_logits(str(few))
    assert "\n" not in str(caught.value)


def test_its_head_can_be_none_and_can_be_taught(folder):
    """The head that changes nothing reads the tokens; one that was taught starts from there."""
    logits = token_logits(str(folder))(pictures())
    taught = ScoreHead(torch.zeros(101), torch.ones(101), identity_head())
    np.testing.assert_allclose(score(taught.probe(), logits)[0], score(identity_head(), logits)[0], atol=1e-3)
