"""The proxy for looks: damage does what it says, and its order is what the tests count."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.data import looks, quality_measures
from components.data.config import DecodeLimits
from components.data.degradations import DEGRADATIONS, degraded
from components.data.errors import DataError
from components.data.splits import concept_hash

LIMITS = DecodeLimits(10**6, 10**6, 1e4)


def pictures(n: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(n)]
    return np.stack([np.asarray(image.resize((64, 64), Image.Resampling.NEAREST)) for image in coarse])


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_damage_grows_with_strength_and_is_the_same_again(name: str) -> None:
    real = pictures()
    distances = []
    for strength in (0.0, 0.5, 1.0):
        once, again = (DEGRADATIONS[name](real, strength, np.random.default_rng(3)) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        assert once.shape == real.shape
        assert once.dtype == np.uint8
        distances.append(float(np.abs(once.astype(int) - real).mean()))
    assert 0 < distances[0] < distances[1] < distances[2]


def test_blur_takes_sharpness_away_and_noise_adds_it() -> None:
    real, rng = pictures(), np.random.default_rng(0)
    of = {name: DEGRADATIONS[name](real, 1.0, rng) for name in ("blur", "noise")} | {"real": real}
    sharpness = {name: quality_measures.sharpness(quality_measures.grey(images)) for name, images in of.items()}
    assert (sharpness["blur"] < sharpness["real"]).all()
    assert (sharpness["noise"] > sharpness["real"]).all()


def test_posterising_leaves_few_levels() -> None:
    assert len(np.unique(DEGRADATIONS["posterise"](pictures(), 1.0, np.random.default_rng(0)))) <= 3


def test_every_image_is_damaged_once_and_all_kinds_are_used() -> None:
    real = pictures(6)
    out = degraded(real, 1.0, seed=1)
    assert (np.abs(out.astype(int) - real).reshape(6, -1).max(1) > 0).all()
    np.testing.assert_array_equal(out[2::4], DEGRADATIONS["noise"](real[2::4], 1.0, np.random.default_rng(1)))


def test_accuracies_count_the_pairs_in_order() -> None:
    best, middle, worst = np.array([3.0, 1.0]), np.array([2.0, 2.0]), np.array([1.0, 0.0])
    assert looks.pair_accuracy(best, [middle, worst]) == 3 / 4
    assert looks.order_accuracy([best, middle, worst]) == 5 / 6


def samples(n: int) -> pa.Table:
    return pa.table(
        {"sample_id": [f"id {k}" for k in range(n)], "concept": [f"c{k}" if k % 3 else "" for k in range(n)]}
    )


def test_reference_rows_are_labelled_chosen_once_and_split_by_concept() -> None:
    reference = looks.reference_rows(samples(90), 40, 0.3)
    assert len(reference.rows) == 40
    assert (reference.rows % 3 != 0).all()
    held = [concept_hash(f"c{row}") < 0.3 for row in reference.rows]
    assert reference.is_heldout.tolist() == held
    assert (looks.reference_rows(samples(90), 40, 0.3).rows == reference.rows).all()


def test_where_nobody_labelled_any_all_images_are_references() -> None:
    unlabelled = pa.table({"sample_id": [f"id {k}" for k in range(60)], "concept": pa.array([None] * 60, pa.string())})
    reference = looks.reference_rows(unlabelled, 50, 0.3)
    assert len(reference.rows) == 50
    assert 0 < reference.is_heldout.sum() < 50
    for few in range(2, 6):
        assert 0 < looks.reference_rows(unlabelled.slice(0, few), 50, 0.01).is_heldout.sum() < few


def test_too_few_images_for_the_proxy_is_one_line() -> None:
    with pytest.raises(DataError, match=r"1 reference images.*raise score.num_reference_images"):
        looks.reference_rows(samples(1), 40, 0.3)


def test_strengths_must_rise() -> None:
    out = io.BytesIO()
    Image.fromarray(pictures(1)[0]).save(out, "PNG")
    images = pa.table({"bytes": [out.getvalue()] * 4})
    assert len(looks.versions(images, 32, LIMITS, [0.0, 1.0], 0)) == 3
    with pytest.raises(ValueError, match="rising"):
        looks.versions(images, 32, LIMITS, [1.0, 0.0], 0)
