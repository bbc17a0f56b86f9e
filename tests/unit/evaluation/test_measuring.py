import numpy as np
import pytest
import torch

from components.data.prompts import Prompt
from components.evaluation.comparison import Metric, compare, pooled
from components.evaluation.judging import Features
from components.evaluation.kernel_distance import KernelReference, kernel_distance
from components.evaluation.measuring import Looks, Seen, appearance, kernel_metrics, variety
from components.evaluation.suite import Question
from components.models.image_features import CONTENT, NUM_FEATURES

N, D = 40, 6


def drawings(seed: int, *, spread: float) -> np.ndarray:
    """Features of two drawings of each prompt, at most so far apart."""
    draw = np.random.default_rng(seed)
    centre = draw.normal(size=(1, N, D))
    return (centre + spread * draw.normal(size=(2, N, D))).astype(np.float32)


def value(metric: Metric, readings: np.ndarray) -> float:
    return metric.statistic(readings)


def test_variety_is_0_for_equal_drawings_1_for_opposite_ones_and_does_not_see_scale() -> None:
    real: Features = drawings(0, spread=1.0)[0]
    seen = {
        "equal": np.stack([real, real]),
        "opposite": np.stack([real, -real]),
        "right angles": np.tile(np.eye(2, D, dtype=np.float32)[:, None], (1, N, 1)),
        "scaled": np.stack([real, 7 * real]),
    }
    metric = variety(seen, real)
    found = {name: value(metric, readings) for name, readings in metric.generated.items()}
    assert found == pytest.approx({"equal": 0, "opposite": 1, "right angles": 0.5**0.5, "scaled": 0}, abs=1e-5)
    assert 0.3 < value(metric, metric.real) < 0.9


def features(seed: int, number: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (number, NUM_FEATURES)).astype(np.float32)


def test_kernel_distances_of_questions_can_be_pooled_and_are_of_content_features_alone() -> None:
    reference = features(0, 30)
    seen = [
        Seen({"base": features(1, 9, 0.3)[None], "sft": features(2, 9)[None]}, features(3, 9), features(4, 9, 2.0)),
        Seen({"base": features(5, 5, 0.3)[None], "sft": features(6, 5)[None]}, features(7, 5), features(8, 5, 2.0)),
    ]
    metrics = kernel_metrics(KernelReference(reference[:, CONTENT]), seen)
    for one, metric in zip(seen, metrics, strict=True):
        for name, of_model in one.first.items():
            expected = kernel_distance(of_model[:, CONTENT], reference[:, CONTENT])
            assert value(metric, metric.generated[name]) == pytest.approx(expected, rel=1e-9)
    together = pooled(metrics)
    for name in ("base", "sft"):
        both = np.concatenate([one.first[name] for one in seen])[:, CONTENT]
        expected = kernel_distance(both, reference[:, CONTENT])
        assert value(together, together.generated[name]) == pytest.approx(expected, rel=1e-9)
    base, sft = compare(together, "heldout")
    assert sft.difference is not None
    assert sft.difference.verdict == "better"  # nearer
    assert base.real < base.value < base.chance
    assert base.low <= base.value <= base.high


def test_looks_are_scored_whatever_was_asked() -> None:
    def levels(level: int) -> np.ndarray:
        return np.full((4, 2, 2, 3), level, np.uint8)

    prompts = [Prompt(f"id{i}", "heldout_cell", "", "", "c", f"sign {i}", i) for i in range(4)]
    texts = [torch.zeros(2, 3)] * 4
    question = Question("heldout_cell", prompts, texts, torch.zeros(1, 4, 1, 1, 1), levels(10), levels(90))

    def mean(images_u8: np.ndarray) -> np.ndarray:
        return images_u8.reshape(len(images_u8), -1).mean(axis=1)

    looks = Looks(mean, "Aes (proxy labels)", "labels are <proxies>")
    metric = appearance(looks, question, {"base": {"heldout_cell": levels(40)}}, ["base"])
    found = [value(metric, readings) for readings in (metric.generated["base"], metric.real, metric.chance)]
    assert found == [40, 90, 10]
    assert "labels are <proxies>" in metric.explanation
    assert metric.name == "Aes (proxy labels)"
