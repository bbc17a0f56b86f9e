from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from components.data.errors import DataError
from components.models.linear_probe import LinearProbe
from components.preference.judges import (
    AestheticProxyJudge,
    AlignmentJudge,
    Asked,
    Judge,
    LetteringJudge,
    SharedFeatures,
    WeightedJudge,
    check_scores,
    judge_all,
    weighted,
    word_accuracy,
)

STYLE = LinearProbe(("flat", "ink"), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([0.0, 0.5], np.float32))
CATEGORY = LinearProbe(("animals", "food", "travel"), np.eye(3, 2, dtype=np.float32), np.zeros(3, np.float32))


def features(images_u8: np.ndarray) -> np.ndarray:
    """The first two pixel values."""
    return images_u8.reshape(len(images_u8), -1)[:, :2].astype(np.float32)


def images(*pixels: Sequence[int]) -> np.ndarray:
    made = np.zeros((len(pixels), 2, 2, 3), np.uint8)
    made.reshape(len(pixels), -1)[:, :2] = pixels
    return made


@dataclass
class Line:
    text: str


@dataclass
class Planted:
    """Says what it is told to."""

    name: str
    scores: list[float]
    is_able: bool = True

    def can_judge(self, asked: Asked) -> bool:
        return self.is_able

    def __call__(self, images_u8: np.ndarray, asked: Sequence[Asked]) -> np.ndarray:
        return np.array(self.scores, np.float64)


def test_alignment_is_the_mean_log_probability_of_what_was_asked() -> None:
    asked = [
        Asked("p", "animals", "ink"),
        Asked("p", "food", ""),
        Asked("p", "", "flat"),
        Asked("p", "", ""),
        Asked("p", "unheard of", "flat"),
    ]
    judge = AlignmentJudge(STYLE, CATEGORY, features)
    scores = judge(images(*[[1, 2]] * 5), asked)
    ink = np.exp(2.5) / (np.exp(1) + np.exp(2.5))
    animals, food = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0, 0.0]).sum()
    expected = [(np.log(ink) + np.log(animals)) / 2, np.log(food), np.log(1 - ink), np.nan, np.log(1 - ink)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert [judge.can_judge(one) for one in asked] == [True, True, True, False, True]


def test_alignment_stays_finite_where_a_class_is_next_to_impossible() -> None:
    far = images([255, 0], [0, 255])
    probe = LinearProbe(STYLE.classes, STYLE.weight * 1000, STYLE.bias)
    scores = AlignmentJudge(probe, CATEGORY, features)(far, [Asked("p", "", "ink")] * 2)
    np.testing.assert_allclose(scores, [-255000 + 0.5, 0], atol=1e-2)


def test_the_proxy_of_looks_is_the_margin_of_its_probe_and_does_not_call_itself_more() -> None:
    judge = AestheticProxyJudge(STYLE, features)
    np.testing.assert_allclose(judge(images([5, 1], [1, 5]), [Asked("p"), Asked("q")]), [3.5, -4.5])
    assert judge.name == "aesthetic_proxy"


def test_features_are_computed_once_for_all_judges_of_one_array() -> None:
    calls: list[int] = []

    def counted(images_u8: np.ndarray) -> np.ndarray:
        calls.append(len(images_u8))
        return features(images_u8)

    shared = SharedFeatures(counted)
    judges = [AlignmentJudge(STYLE, CATEGORY, shared), AestheticProxyJudge(STYLE, shared)]
    for pixels in (images([1, 2], [3, 4]), images([5, 6], [7, 8])):
        asked = [Asked("p", "food", "ink")] * 2
        together = judge_all(judges, pixels, asked, ["x", "y"])
        apart = AestheticProxyJudge(STYLE, features)(pixels, asked)
        np.testing.assert_array_equal(together["aesthetic_proxy"], apart)
    assert calls == [2, 2]


@pytest.mark.parametrize(
    ("asked", "read", "expected"),
    [
        ("Honey", "honey", 1.0),
        ("Fresh Honey", "HONEY, fresh!", 1.0),
        ("Fresh Honey", "Honey", 0.5),
        ("Fresh Honey", "", 0.0),
        ("Honey", "Honey Honey", 0.5),
        ("so so", "so", 0.5),
        ("Noodle Soup", "noodle stew hot", 1 / 3),
        ("山景 请敲门", "请敲门 山景", 1.0),
        ("请敲门", "请开门", 2 / 3),
        ("ＯＰＥＮ 24", "open 24", 1.0),
        ("Café №5", "café no5", 1.0),
        ("", "", 1.0),
    ],
)
def test_words_are_counted_whatever_their_order_and_case(asked: str, read: str, expected: float) -> None:
    assert word_accuracy(asked, read) == pytest.approx(expected)
    assert word_accuracy(read, asked) == pytest.approx(expected)


def test_only_pictures_that_words_were_asked_for_are_read() -> None:
    seen: list[int] = []

    def read(image_u8: np.ndarray) -> list[Line]:
        seen.append(int(image_u8[0, 0, 0]))
        return [Line("Fresh"), Line("bread")]

    judge = LetteringJudge(read)
    asked = [Asked("p", lettering="fresh bread"), Asked("q"), Asked("r", lettering="…"), Asked("s", lettering="Bread")]
    np.testing.assert_allclose(judge(images([1, 0], [2, 0], [3, 0], [4, 0]), asked), [1, np.nan, np.nan, 0.5])
    assert seen == [1, 4]


def test_the_weighted_mean_is_of_scores_brought_to_one_scale() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 6.0]), np.array([100.0, 0.0, 300.0, 200.0])
    z_a, z_b = ((x - x.mean()) / x.std() for x in (a, b))
    np.testing.assert_allclose(weighted({"a": a, "b": b}, {"a": 3.0, "b": 1.0}), (3 * z_a + z_b) / 4)
    # Neither unit nor origin of a judge matter.
    np.testing.assert_allclose(
        weighted({"a": 7 * a - 5, "b": b}, {"a": 3.0, "b": 1.0}), weighted({"a": a, "b": b}, {"a": 3.0, "b": 1.0})
    )


def test_who_did_not_judge_does_not_count() -> None:
    a, b = np.array([1.0, 3.0, np.nan, np.nan]), np.array([5.0, np.nan, 7.0, np.nan])
    np.testing.assert_allclose(weighted({"a": a, "b": b}, {"a": 1.0, "b": 3.0}), [-1, 1, 1, np.nan])
    np.testing.assert_allclose(weighted({"a": a, "b": b}, {"a": 1.0, "b": 0.0}), [-1, 1, np.nan, np.nan])


def test_a_judge_who_finds_all_equal_or_judges_nothing_decides_nothing() -> None:
    one, equal = np.array([1.0, 2.0, 4.0]), np.full(3, 0.1)  # whose mean is not 0.1 to the last bit
    z = (one - one.mean()) / one.std()
    np.testing.assert_allclose(weighted({"a": one, "b": equal}, {"a": 1.0, "b": 1.0}), z / 2)
    np.testing.assert_allclose(weighted({"a": one, "b": np.full(3, np.nan)}, {"a": 1.0, "b": 1.0}), z)


@pytest.mark.parametrize("weights", [{"a": 1.0}, {"a": 1.0, "c": 1.0}, {"a": -1.0, "b": 2.0}, {"a": 0.0, "b": 0.0}])
def test_weights_that_do_not_fit_the_judges_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weights are"):
        weighted({"a": np.zeros(2), "b": np.zeros(2)}, weights)


def test_several_judges_are_one_judge() -> None:
    judges = [Planted("a", [0.0, 2.0]), Planted("b", [np.nan, np.nan], is_able=False)]
    judge = WeightedJudge(judges, {"a": 1.0, "b": 1.0})
    assert isinstance(judge, Judge)
    assert judge.can_judge(Asked("p"))
    np.testing.assert_allclose(judge(images([0, 0], [0, 0]), [Asked("p")] * 2), [-1, 1])


@pytest.mark.parametrize(
    ("scores", "is_able", "told"),
    [
        ([0.0, np.nan], True, "judge 'planted' scored image y \\('a fox'\\) as nan"),
        ([np.inf, 0.0], True, "judge 'planted' scored image x .* as inf"),
        ([np.nan, -np.inf], False, "judge 'planted' scored image y .* as -inf"),
    ],
)
def test_a_judge_without_a_number_is_named_with_the_image(scores: list[float], is_able: bool, told: str) -> None:
    with pytest.raises(DataError, match=told):
        judge_all(
            [Planted("sound", [1.0, 2.0]), Planted("planted", scores, is_able)],
            images([0, 0], [0, 0]),
            [Asked("a fox")] * 2,
            ["x", "y"],
        )


def test_no_number_where_there_is_nothing_to_go_by_is_right() -> None:
    check_scores(Planted("p", [], is_able=False), np.array([np.nan, 1.0]), [Asked("a")] * 2, ["x", "y"])
