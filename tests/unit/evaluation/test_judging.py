from collections.abc import Sequence

import numpy as np
import pytest
import torch

from components.data.prompts import Prompt
from components.evaluation.comparison import Metric, Row, compare
from components.evaluation.judging import (
    Judges,
    Split,
    accuracy,
    alignment,
    distance,
    fit_reference,
    judge,
    retrieval,
)
from components.evaluation.retrieval import TwoTower
from components.models.image_features import ImageFeatures
from components.models.linear_probe import LinearProbe

STYLES, CATEGORIES = ("Noto", "blob", "Twemoji"), ("animals", "food")
N, D = 60, 8


def prompts() -> list[Prompt]:
    return [
        Prompt(f"id{i}", "heldout_cell", STYLES[i % 3], CATEGORIES[i % 2], f"c{i}", f"prompt {i}", i) for i in range(N)
    ]


def one_hot(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    return np.eye(len(classes), dtype=np.float32)[[classes.index(label) for label in labels]]


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def judges(draw: np.random.Generator) -> Judges:
    """Style is channels 0 to 2, category channels 3 and 4; the towers compare all channels as they are."""
    towers = TwoTower(torch.randn(9, D, generator=torch.Generator().manual_seed(0)), torch.zeros(9, D) + 1.0, D)
    for tower in (towers.image, towers.text):
        tower.mean.zero_()
        tower.std.fill_(1)
        torch.nn.init.eye_(tower.linear.weight)
        torch.nn.init.zeros_(tower.linear.bias)
    projection, reference = fit_reference(perfect(draw), 4)
    eye = np.eye(D, dtype=np.float32)
    return Judges(
        ImageFeatures(32, "fp32"),
        LinearProbe(STYLES, eye[:3], np.zeros(3, np.float32)),
        LinearProbe(CATEGORIES, eye[3:5], np.zeros(2, np.float32)),
        towers.requires_grad_(False),
        projection,
        reference,
    )


def perfect(draw: np.random.Generator) -> np.ndarray:
    asked = prompts()
    hot = [one_hot([p.style for p in asked], STYLES), one_hot([p.category for p in asked], CATEGORIES)]
    return np.concatenate([*hot, draw.normal(size=(N, 3)).astype(np.float32)], axis=1)


def make_split(generated: np.ndarray, real: np.ndarray, noise: np.ndarray) -> Split:
    return Split("heldout_cell", prompts(), real, {"base": generated}, real, noise)


def only(metric: Metric) -> Row:
    """The row of the only model."""
    (row,) = compare(metric, "heldout_cell")
    return row


def test_images_that_are_what_was_asked_for_score_like_real_ones(judges: Judges, draw: np.random.Generator) -> None:
    real = perfect(draw)
    rows = {metric.name: only(metric) for metric in judge(judges, make_split(real, real, real * 0))}
    for name in ("style accuracy", "category accuracy", "retrieval R@1", "retrieval R@5"):
        assert rows[name].value == rows[name].real == 1
    assert [rows[n].chance for n in ("style accuracy", "category accuracy")] == pytest.approx([1 / 3, 1 / 2])
    assert [rows[n].chance for n in ("retrieval R@1", "retrieval R@5")] == pytest.approx([1 / N, 5 / N])
    far = rows["Lite0 Fréchet distance"]
    assert far.value == far.real < far.chance
    aligned = rows["image-text alignment"]
    assert aligned.value == aligned.real == pytest.approx(1, abs=1e-6)
    assert aligned.chance < 0.7


def test_a_generator_that_draws_the_same_thing_scores_chance(judges: Judges, draw: np.random.Generator) -> None:
    real = perfect(draw)
    constant = np.tile(real[:1], (N, 1))
    split = make_split(constant, real, constant)
    assert only(accuracy(judges.style, split, "style")).value == pytest.approx(1 / 3)
    assert only(accuracy(judges.category, split, "category")).value == pytest.approx(1 / 2)
    assert only(retrieval(judges.towers, split, 1)).value == pytest.approx(1 / N)


@pytest.mark.parametrize("num_wrong", [6, 30, 60])
def test_accuracy_counts_what_is_wrong(judges: Judges, draw: np.random.Generator, num_wrong: int) -> None:
    real = perfect(draw)
    generated = real.copy()
    generated[:num_wrong, :3] = np.roll(generated[:num_wrong, :3], 1, axis=1)
    row = only(accuracy(judges.style, make_split(generated, real, real), "style"))
    assert row.value == pytest.approx(1 - num_wrong / N)
    assert row.low <= row.value <= row.high
    assert row.real == 1


def test_the_distance_grows_with_the_shift_of_the_images(judges: Judges, draw: np.random.Generator) -> None:
    real = perfect(draw)
    axis = judges.projection.axes[:, 0].astype(np.float32)
    values = [only(distance(judges, make_split(real + shift * axis, real, real))).value for shift in (0.0, 1.0, 2.0)]
    # A shift along one axis leaves the covariance alone, so the distance grows by the square of the shift of the mean.
    centre = float((judges.projection(real).mean(axis=0) - judges.reference.mean)[0])
    expected = [values[0] + (centre + shift) ** 2 - centre**2 for shift in (0.0, 1.0, 2.0)]
    assert values == pytest.approx(expected, rel=1e-4)


def test_alignment_is_the_cosine_of_image_and_prompt_and_its_chance_that_of_other_prompts(
    judges: Judges, draw: np.random.Generator
) -> None:
    real, generated = perfect(draw), perfect(draw)
    row = only(alignment(judges.towers, make_split(generated, real, real)))
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (generated, real)]
    assert row.value == pytest.approx((units[0] * units[1]).sum(axis=1).mean(), abs=1e-5)
    cosines = units[1] @ units[1].T
    assert row.chance == pytest.approx(cosines[~np.eye(N, dtype=bool)].mean(), abs=1e-5)


def test_each_model_is_judged_on_its_own_images(judges: Judges, draw: np.random.Generator) -> None:
    real = perfect(draw)
    wrong = np.roll(real, 1, axis=0)
    split = Split("heldout_cell", prompts(), real, {"base": wrong, "sft": real}, real, real)
    for metric in judge(judges, split)[:2]:
        base, sft = compare(metric, split.name)
        assert (base.model, base.value, sft.model, sft.value) == ("base", 0, "sft", 1)
        assert sft.difference is not None
        assert sft.difference.verdict == "better"
