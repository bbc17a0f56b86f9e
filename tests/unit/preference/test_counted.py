import pytest

from components.preference.calibration import CalibrationRules
from components.preference.counted import MIN_REPEATS, judged, settled_votes
from components.preference.swiss import ChoiceOf, Match, Plan, play
from components.preference.votes_log import LoggedVote
from tests.unit.preference.annotators import noisy, qualities

RULES = CalibrationRules(0.8, 0.6, 0.001)
QUALITY = qualities(64, 0)


def vote(number: int, match: Match, choice: str, who: str = "p") -> LoggedVote:
    shown = (match.round, match.number, match.is_repeat, "?", match.left, match.right)
    return LoggedVote(f"{who}{number}", "t", *shown, choice, who, 0.0, {})


def votes(person: ChoiceOf) -> list[LoggedVote]:
    matches = play(Plan(tuple(sorted(QUALITY)), 0, 0.05), person).matches
    return [vote(number, match, person(match) or "") for number, match in enumerate(matches)]


def test_who_was_tested_and_looks_counts_and_who_was_not_tested_does_not() -> None:
    cast = votes(noisy(QUALITY, 0.1, 0))
    one = judged("p", cast[:1], cast, RULES)
    assert (one.counts, one.num_votes, one.reasons) == (True, len(cast), [])
    assert judged("p", [], cast, RULES).reasons == ["was not tested before she voted"]


@pytest.mark.parametrize("seed", range(20))
def test_who_errs_in_a_tenth_of_her_votes_counts(seed: int) -> None:
    cast = votes(noisy(QUALITY, 0.1, seed))
    assert judged("p", cast[:1], cast, RULES).reasons == []


def test_who_stopped_looking_after_the_test_is_left_out_and_told_why() -> None:
    cast = votes(lambda _: "a")
    side, repeats = judged("p", cast[:1], cast, RULES).reasons
    assert side.startswith("chose the left image in 100% of the votes")
    assert repeats.startswith("the same again in 0% of the repeats")


def test_few_repeats_decide_nothing() -> None:
    person = noisy(QUALITY, 0.1, 0)
    others = [one for one in votes(person) if not one.is_repeat]
    again = [
        vote(9000 + number, Match(one.round + 1, 90 + number, one.image_b, one.image_a, True), one.choice)
        for number, one in enumerate(others[:MIN_REPEATS])  # the same side again: the other image
    ]
    assert judged("p", others[:1], [*others, *again[:-1]], RULES).counts
    assert not judged("p", others[:1], [*others, *again], RULES).counts


def test_of_each_match_the_last_vote_is_kept_and_repeats_are_not() -> None:
    one, again = Match(0, 0, "x", "y", False), Match(1, 5, "y", "x", True)
    cast = [vote(0, one, "a"), vote(1, Match(0, 1, "u", "v", False), "tie"), vote(2, one, "b"), vote(3, again, "a")]
    assert [(kept.vote_id, kept.choice) for kept in settled_votes(cast)] == [("p2", "b"), ("p1", "tie")]
