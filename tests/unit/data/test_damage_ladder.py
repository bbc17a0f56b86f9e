"""A ladder's steps are what they say: each is more damaged than the one before, and equal seeds give equal pictures."""

import numpy as np
import pytest

from components.data.damage_ladder import TIERS, ladder
from components.data.degradations import DEGRADATIONS

KINDS = ("blur", "jpeg", "noise")
STRENGTHS = tuple(np.linspace(0, 1.2, 9).tolist())


def pictures(n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    out = np.full((n, 64, 64, 3), 255, np.uint8)
    for image in out:
        for _ in range(8):
            x, y = rng.integers(0, 48, 2)
            image[y : y + 14, x : x + 14] = rng.integers(0, 256, 3)
    return out


def test_each_step_is_further_from_the_original():
    versions = ladder(pictures(), KINDS, STRENGTHS, 0)
    assert len(versions) == TIERS
    np.testing.assert_array_equal(versions[0], pictures())
    errors = np.array([((v.astype(float) - versions[0]) ** 2).mean(axis=(1, 2, 3)) for v in versions])
    assert (np.diff(errors, axis=0) > 0).mean() > 0.95


def test_the_kinds_take_turns():
    versions = ladder(pictures(), ("blur", "jpeg"), STRENGTHS, 0)
    for kind, turn in (("blur", slice(0, None, 2)), ("jpeg", slice(1, None, 2))):
        told = DEGRADATIONS[kind](pictures()[turn], STRENGTHS[4], np.random.default_rng(0))
        np.testing.assert_array_equal(versions[5][turn], told)


def test_equal_seeds_give_equal_noise():
    one, same, other = (ladder(pictures(2), ("noise",), STRENGTHS, seed)[3] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("kinds", "strengths", "told"),
    [
        (("fog",), STRENGTHS, "blur, jpeg, noise, posterise"),
        ((), STRENGTHS, "some of"),
        (KINDS, STRENGTHS[:5], "9 that rise"),
        (KINDS, STRENGTHS[::-1], "9 that rise"),
        (("posterise",), STRENGTHS, "posterise: two of the strengths"),
    ],
)
def test_a_ladder_that_cannot_be_is_refused(kinds, strengths, told):
    with pytest.raises(ValueError, match=told):
        ladder(pictures(), kinds, strengths, 0)
