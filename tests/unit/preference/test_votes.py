import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data.errors import DataError
from components.preference.config import PairRules
from components.preference.votes import Choice, Vote, pairs_from_votes, read_votes

RULES = PairRules(0.0, None, 1, "none", 0.3, 0)
GOOD = {"prompt": "a fox", "image_a": "x", "image_b": "y", "choice": "a", "annotator": "p1", "time": 1.5}


def vote(a: str, b: str, choice: Choice, annotator: str, time: float = 0.0) -> Vote:
    return Vote("a fox", a, b, choice, annotator, time)


def written(tmp_path: Path, *lines: dict[str, Any] | str) -> Path:
    file = tmp_path / "votes.jsonl"
    file.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return file


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([("x", "y", "a")], ("x", "y", 1.0)),
        ([("x", "y", "b")], ("y", "x", 1.0)),
        ([("x", "y", "a"), ("y", "x", "b")], ("x", "y", 1.0)),  # the side does not matter
        ([("x", "y", "a"), ("x", "y", "a"), ("x", "y", "b")], ("x", "y", 1 / 3)),
        ([("x", "y", "a"), ("x", "y", "tie")], ("x", "y", 1 / 2)),
        ([("x", "y", "a"), ("x", "y", "b")], None),
        ([("x", "y", "tie")], None),
    ],
)
def test_the_majority_decides_and_the_margin_is_its_lead(
    votes: list[tuple[str, str, Choice]], expected: tuple[str, str, float] | None
) -> None:
    cast = [vote(*one, annotator=f"p{number}") for number, one in enumerate(votes)]
    pairs = pairs_from_votes(cast, {"a fox": "animals"}, RULES)
    found = [(row["winner"], row["loser"], row["margin"]) for row in pairs.table.to_pylist()]
    assert found == ([pytest.approx(expected)] if expected else [])
    assert dict(pairs.dropped) == ({} if expected else {"tie": len(votes)})
    for row in pairs.table.to_pylist():
        assert (row["is_human"], row["judge"], row["category"]) == (True, "votes", "animals")


def test_of_one_person_the_last_vote_on_two_images_counts_once() -> None:
    cast = [
        vote("x", "y", "a", "p1", time=3.0),
        vote("y", "x", "a", "p1", time=9.0),  # changed her mind
        vote("x", "y", "a", "p1", time=5.0),
        vote("x", "y", "b", "p2"),
        vote("x", "y", "a", "p3"),
    ]
    pairs = pairs_from_votes(cast, {}, RULES)
    assert [(row["winner"], row["margin"]) for row in pairs.table.to_pylist()] == [("y", pytest.approx(1 / 3))]
    assert dict(pairs.dropped) == {"changed": 2}


@pytest.mark.parametrize("seed", range(5))
def test_votes_of_a_planted_taste_recover_it_and_every_vote_is_accounted_for(seed: int) -> None:
    draw = np.random.default_rng(seed)
    quality = {f"i{k}": float(value) for k, value in enumerate(draw.permutation(6))}
    cast = list[Vote]()
    for number in range(200):
        a, b = draw.choice(sorted(quality), size=2, replace=False).tolist()
        choice: Choice = "a" if quality[a] > quality[b] else "b"
        cast.append(Vote(f"prompt {number % 3}", a, b, choice, f"p{number}", float(number)))
    pairs = pairs_from_votes(cast, {}, RULES)
    assert all(quality[row["winner"]] > quality[row["loser"]] for row in pairs.table.to_pylist())
    assert set(pairs.table["margin"].to_pylist()) == {1.0}
    one_each = {(one.prompt, frozenset((one.image_a, one.image_b))) for one in cast}
    assert pairs.table.num_rows == len(one_each)
    assert not pairs.dropped
    shuffled = [cast[k] for k in draw.permutation(len(cast))]
    assert pairs_from_votes(shuffled, {}, RULES).table.equals(pairs.table)


def test_votes_on_prompts_of_an_evaluation_are_refused() -> None:
    cast = [vote("x", "y", "a", "p1"), vote("x", "y", "a", "p2")]
    pairs = pairs_from_votes(cast, {}, RULES, evaluation=["A FOX "])
    assert (pairs.table.num_rows, dict(pairs.dropped)) == (0, {"evaluation_prompt": 2})


def test_margins_are_limited_as_the_rules_say() -> None:
    cast = [vote("x", "y", "a", "p1"), vote("x", "y", "a", "p2"), vote("x", "y", "b", "p3"), vote("x", "z", "a", "p1")]
    assert dict(pairs_from_votes(cast, {}, PairRules(0.5, None, 1, "none", 0.3, 0)).dropped) == {"tie": 3}
    assert dict(pairs_from_votes(cast, {}, PairRules(0, 0.5, 1, "none", 0.3, 0)).dropped) == {"beyond_max_margin": 1}


def test_what_a_page_wrote_is_read_back_and_an_unfinished_line_waits(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD, "\n", {**GOOD, "choice": "tie", "prompt": "狐狸"}, '{"prompt": "a f')
    assert read_votes(file) == [Vote("a fox", "x", "y", "a", "p1", 1.5), Vote("狐狸", "x", "y", "tie", "p1", 1.5)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({**GOOD, "choice": "left"}, "'choice' is 'left'; allowed: a, b, tie"),
        ({**GOOD, "choice": ["a"]}, "'choice' is"),
        ({**GOOD, "image_b": "x"}, "both images are x"),
        ({**GOOD, "annotator": ""}, "'annotator' is ''"),
        ({key: value for key, value in GOOD.items() if key != "prompt"}, "'prompt' is missing"),
        ({**GOOD, "prompt": 3}, "'prompt' is 3"),
        ({**GOOD, "prompt": "x" * 10_001}, "'prompt' is 'xxx"),
        ({**GOOD, "prompt": "\ud800"}, "'prompt' is"),
        ({**GOOD, "time": True}, "'time' is True"),
        ({**GOOD, "time": float("nan")}, "'time' is nan"),
        ('["a"]\n', r"\['a'\]; allowed: an object"),
        ('{"prompt": \n', "not readable as JSON"),
        ("[" * 100_000 + "\n", "not readable as JSON"),
        ("9" * 5_000 + "\n", "not readable as JSON"),
    ],
)
def test_a_vote_that_says_something_else_is_named_by_its_line(
    tmp_path: Path, line: dict[str, Any] | str, told: str
) -> None:
    file = written(tmp_path, GOOD, line, GOOD)
    with pytest.raises(DataError, match=rf"votes\.jsonl, line 2: .*{told}") as error:
        read_votes(file)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_file_of_votes_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"votes\.jsonl: No such file"):
        read_votes(tmp_path / "votes.jsonl")
