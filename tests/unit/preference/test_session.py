from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from components.data.errors import DataError
from components.preference.calibration import CalibrationRules, Known
from components.preference.session import Session, State, Tournament
from components.preference.standings import EQUAL_SHARES
from components.preference.swiss import Plan, num_comparisons
from components.preference.votes import Choice, read_votes
from components.preference.votes_log import read_log
from tests.unit.preference.annotators import qualities

KNOWN = tuple(Known(f"good{number}", f"bad{number}") for number in range(6))
QUALITY = qualities(16, 0) | {name: rank for pair in KNOWN for name, rank in ((pair.better, 1), (pair.worse, 0))}
TOURNAMENT = Tournament(
    "fox",
    "a red fox",
    Plan(tuple(qualities(16, 0)), 3, 0.1),
    KNOWN,
    CalibrationRules(0.8, 0.6, 0.001),
    "p7",
    {"e": "1"},
)
Open = Callable[..., Session]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    sessions: list[Session] = []

    def open_again(tournament: Tournament = TOURNAMENT) -> Session:
        while sessions:
            sessions.pop().close()
        sessions.append(Session(tournament, tmp_path, lambda: 1.5))
        return sessions[-1]

    yield open_again
    while sessions:
        sessions.pop().close()


def better(state: State) -> Choice:
    return "a" if QUALITY[state.left] > QUALITY[state.right] else "b"


def answer(session: Session, until: str = "done", choose: Callable[[State], Choice] = better) -> State:
    while (state := session.state()).vote_id and state.phase != until:
        assert session.vote(state.vote_id, choose(state))
    return session.state()


def test_a_tournament_starts_with_the_test_and_ends_with_tiers_in_the_true_order(opened: Open, tmp_path: Path) -> None:
    session = opened()
    assert (session.state().phase, session.state().num_total) == ("calibration", 12)
    assert answer(session, until="tournament").num_total == num_comparisons(16, 0.1)
    assert session.verdict().has_passed
    end = answer(session)
    assert (end.phase, end.num_done, end.vote_id) == ("done", num_comparisons(16, 0.1), "")
    rows = session.ranking(0.1, EQUAL_SHARES)
    assert spearmanr([row["place"] for row in rows], [QUALITY[row["image"]] for row in rows])[0] > 0.95
    assert (rows[0]["tier"], rows[0]["score"], rows[-1]["tier"]) == (10, 100, 1)
    assert session.annotator().reliability.consistency == 1.0
    assert len(read_votes(tmp_path / "votes.jsonl")) == end.num_done  # the test's votes lie elsewhere


def test_who_always_clicks_left_does_not_get_to_vote(opened: Open) -> None:
    state = answer(opened(), choose=lambda state: "a")
    assert (state.phase, state.vote_id, len(state.reasons)) == ("refused", "", 3)
    assert opened().state() == state
    assert not opened().undo()


def test_a_session_goes_on_wherever_it_was_ended(opened: Open) -> None:
    session, steps = opened(), 0
    while (state := session.state()).phase != "done":
        assert session.vote(state.vote_id, better(state))
        steps += 1
        if steps % 5 == 0:
            expected = session.state()
            session = opened()
            assert session.state() == expected
    assert steps == 12 + num_comparisons(16, 0.1)


def test_a_vote_that_comes_twice_or_too_late_counts_once(opened: Open) -> None:
    session = opened()
    first = session.state()
    assert session.vote(first.vote_id, "a")
    assert not session.vote(first.vote_id, "a")  # sent again
    assert not session.vote(first.vote_id, "b")  # a second browser that is behind
    assert not session.vote("fox/p7/tournament/0/0/0", "a")
    assert session.state().num_done == 1


def test_undo_asks_again_and_the_old_answer_stands_until_there_is_another(opened: Open, tmp_path: Path) -> None:
    session = opened()
    assert not session.state().can_undo
    asked = [session.state()]
    for _ in range(2):
        session.vote(asked[-1].vote_id, "a")
        asked.append(session.state())
    assert session.undo()
    assert session.undo()
    back = session.state()
    assert (back.left, back.right, back.num_done) == (asked[0].left, asked[0].right, 2)
    assert not session.undo()
    assert session.vote(back.vote_id, "b")
    assert session.state() == asked[2]
    assert [vote.choice for vote in read_log(tmp_path / "calibration.jsonl")] == ["a", "a", "b"]


def test_undo_goes_back_over_a_round_only_before_the_next_is_voted_on(opened: Open) -> None:
    session = opened()
    answer(session, until="tournament")
    assert not session.state().can_undo  # the test is over
    for _ in range(8):
        session.vote(session.state().vote_id, better(session.state()))
    first_of_round = session.state()
    assert session.undo()
    session.vote(session.state().vote_id, "tie")
    assert session.state().num_done == 8
    session.vote(session.state().vote_id, "a")
    assert session.undo()
    assert session.state().vote_id.startswith("fox/p7/tournament/1/0/")
    assert not session.undo()
    assert first_of_round.vote_id == "fox/p7/tournament/1/0/0"


def test_the_last_answer_of_all_can_be_taken_back(opened: Open) -> None:
    session = opened()
    answer(session)
    assert session.undo()
    assert session.state().phase == "tournament"
    assert session.vote(session.state().vote_id, "tie")
    assert session.state().phase == "done"


def test_votes_on_other_images_or_by_somebody_else_are_not_mixed(opened: Open) -> None:
    session = opened(replace(TOURNAMENT, known=()))
    for _ in range(3):
        session.vote(session.state().vote_id, "a")
    for change in (
        {"annotator": "p8"},
        {"plan": Plan(TOURNAMENT.plan.images[1:], 3, 0.1)},
        {"plan": Plan(TOURNAMENT.plan.images, 4, 0.1)},
    ):
        with pytest.raises(DataError, match="is not of this tournament"):
            opened(replace(TOURNAMENT, known=(), **change))
    assert opened(replace(TOURNAMENT, known=())).state().num_done == 3


def test_two_sessions_of_one_tournament_are_refused(opened: Open, tmp_path: Path) -> None:
    opened()
    with pytest.raises(DataError, match="another page has this tournament open"):
        Session(TOURNAMENT, tmp_path, lambda: 0.0)
