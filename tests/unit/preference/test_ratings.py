import numpy as np
import pytest

from components.preference.agreement import kendalls_w, krippendorffs_alpha
from components.preference.ratings import ratings_of
from components.preference.standings import EQUAL_SHARES, places
from components.preference.swiss import ChoiceOf, Plan, play
from components.preference.votes_log import LoggedVote
from tests.unit.preference.annotators import noisy, qualities


def votes(images: list[str], seed: int, person: ChoiceOf) -> list[LoggedVote]:
    played = play(Plan(tuple(images), seed, 0.1), person)
    return [
        LoggedVote(
            f"v{number}", "t", one.round, one.number, one.is_repeat, "?", one.left, one.right, choice, "p", 0.0, {}
        )
        for number, one in enumerate(played.matches)
        if (choice := person(one))
    ]


def test_places_and_tiers_are_those_of_each_ones_tournament() -> None:
    quality = qualities(32, 0)
    images = sorted(quality)
    person = noisy(quality, 0.1, 0)
    logs = {"p1": votes(images, 0, person), "p2": votes(images[:20], 1, noisy(quality, 0.1, 1))}
    found = ratings_of(logs, 0.1, EQUAL_SHARES)
    results = play(Plan(tuple(images), 0, 0.1), person).results
    np.testing.assert_allclose(found.places[0], places(images, results, 0.1))
    assert (found.annotators, found.images) == (["p1", "p2"], images)
    assert np.isnan(found.places[1]).sum() == np.isnan(found.tiers[1]).sum() == 12
    assert set(found.tiers[0].tolist()) == set(range(1, 11))


@pytest.mark.parametrize(("noise", "low", "high"), [(0.05, 0.93, 1.0), (0.5, 0.0, 0.6)])
def test_who_sees_the_same_agrees_and_who_clicks_at_random_does_not(noise: float, low: float, high: float) -> None:
    quality = qualities(64, 3)
    logs = {f"p{k}": votes(sorted(quality), k, noisy(quality, noise, k)) for k in range(3)}
    found = ratings_of(logs, 0.1, EQUAL_SHARES)
    assert low <= kendalls_w(found.places) <= high
    assert (krippendorffs_alpha(found.tiers, "ordinal") > 0.85) == (noise < 0.1)
