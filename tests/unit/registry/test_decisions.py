from dataclasses import replace

import pytest

from components.registry.decisions import (
    Decision,
    PromotionError,
    Request,
    decision_from_json,
    previous_champion,
    request_from_json,
    said,
    settled,
    to_json,
)

NOTICED = "2026-01-02T00:00:00+00:00"


def move(number: int, kind, version: int | None, before: int | None, *, is_done: bool = True) -> Decision:
    return Decision(number, kind, version, before, "abc", "why", "ann", "2026-01-01T00:00:00+00:00", is_done=is_done)


FIRST, SECOND = move(1, "promote", 1, None), move(2, "promote", 2, 1)
BEGUN = replace(SECOND, is_done=False)


def test_a_decision_begun_happened_if_the_alias_moved() -> None:
    assert settled([FIRST, BEGUN], 2, NOTICED) == [FIRST, SECOND]


def test_a_decision_begun_did_not_happen_if_the_alias_stayed() -> None:
    assert settled([FIRST, BEGUN], 1, NOTICED) == [FIRST]
    assert settled([replace(FIRST, is_done=False)], None, NOTICED) == []


@pytest.mark.parametrize("stored", [[FIRST, SECOND], [FIRST, BEGUN], [FIRST]])
@pytest.mark.parametrize("champion", [3, None])
def test_an_alias_moved_by_hand_becomes_a_record(stored: list[Decision], champion: int | None) -> None:
    *explained, by_hand = settled(stored, champion, NOTICED)
    assert explained == [decision for decision in stored if decision.is_done]
    assert (by_hand.kind, by_hand.version, by_hand.before) == ("outside", champion, explained[-1].version)
    assert (by_hand.number, by_hand.at) == (explained[-1].number + 1, NOTICED)
    assert settled([*explained, by_hand], champion, "later") == [*explained, by_hand]


@pytest.mark.parametrize(
    ("moves", "previous"),
    [
        ([], None),
        ([("promote", 1)], None),
        ([("promote", 1), ("promote", 2)], 1),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)], 1),  # and not 3 again
        ([("promote", 1), ("promote", 2), ("rollback", 1)], None),
        ([("promote", 1), ("promote", 2), ("promote", 1)], 2),  # chosen anew, so it stands on 2
        ([("promote", 1), ("promote", 2), ("rollback", 1), ("promote", 3)], 1),
        ([("promote", 1), ("outside", 5)], 1),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("outside", 2)], 1),  # by hand, but it is a rollback
        ([("promote", 1), ("promote", 2), ("outside", None)], 2),  # the alias was deleted: 2 was the last
        ([("promote", 1), ("promote", 2), ("outside", None), ("rollback", 2)], 1),
        ([("promote", 1), ("promote", 2), ("withdraw", None)], 1),  # what was withdrawn does not come back
        ([("promote", 1), ("withdraw", None)], None),
        ([("promote", 1), ("promote", 2), ("promote", 1), ("withdraw", None)], 2),
        ([("promote", 1), ("withdraw", None), ("promote", 2)], None),
    ],
)
def test_a_rollback_takes_back_the_last_promotion(moves: list, previous: int | None) -> None:
    befores = [None, *(version for _, version in moves)]
    history = [move(n, kind, version, befores[n - 1]) for n, (kind, version) in enumerate(moves, start=1)]
    assert previous_champion(history) == previous


def test_records_are_read_as_they_were_written() -> None:
    decision = replace(SECOND, checks=[{"metric": "alignment", "value": None}], reason='"ни слова" </script>')
    assert decision_from_json(to_json(decision), "a tag") == decision
    request = Request(2, None, "abc", "why", "ann", NOTICED, is_override=True)
    assert request_from_json(to_json(request), "a tag") == request


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": 1}', "null"])
def test_a_record_that_somebody_changed_is_named(text: str) -> None:
    with pytest.raises(PromotionError, match="the tag x is not what easel wrote"):
        decision_from_json(text, "the tag x")
    with pytest.raises(PromotionError, match="the tag x is not what easel wrote"):
        request_from_json(text, "the tag x")


def test_a_second_person_answers_only_the_same_question() -> None:
    request = Request(2, 1, "abc", "why", "bob", NOTICED, is_override=False)
    assert request.is_answered_by(SECOND)
    for change in ({"before": 3}, {"digest": "other"}, {"is_override": True}, {"version": 4}):
        assert not request.is_answered_by(replace(SECOND, **change))


def test_what_a_person_says_is_kept_on_one_line() -> None:
    assert said(" better\n\tlettering\x1b[31m ", "reason") == "better lettering [31m"
    with pytest.raises(PromotionError, match="reason is empty"):
        said(" \n", "reason")
    with pytest.raises(PromotionError, match="1001 characters; at most 1000"):
        said("x" * 1001, "reason")
