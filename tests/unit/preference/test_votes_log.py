import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from components.data.errors import DataError
from components.preference.config import PairRules
from components.preference.swiss import Match
from components.preference.votes import Vote, pairs_from_votes, read_votes
from components.preference.votes_log import LoggedVote, VotesLog, last_choices, read_log

VOTE = LoggedVote("fox/p7/0/0/0", "fox", 0, 0, False, "a red fox 狐狸", "x", "y", "a", "p7", 1.5, {"easel": "0.1.0"})
ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from components.preference.votes_log import VotesLog
from tests.unit.preference.test_votes_log import VOTE
log = VotesLog(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 1_000_000):
    log.append(replace(VOTE, vote_id=f"v{number}", prompt="p" * 5_000))
    print(number, flush=True)
"""
ON_A_FULL_DISK = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from components.preference.votes_log import VotesLog
from tests.unit.preference.test_votes_log import VOTE
file = Path(sys.argv[1])
log = VotesLog(file)
log.append(VOTE)
whole = file.read_bytes()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 50, most))  # of the next line 50 bytes can be written
try:
    log.append(replace(VOTE, vote_id="second"))
except OSError:
    assert file.read_bytes() == whole
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    log.append(replace(VOTE, vote_id="second", choice="b"))
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[VotesLog]:
    opened = VotesLog(tmp_path / "votes.jsonl")
    yield opened
    opened.close()


def test_what_was_appended_is_read_back_and_is_a_vote_that_pairs_are_made_of(log: VotesLog, tmp_path: Path) -> None:
    later = replace(VOTE, vote_id="fox/p7/0/1/0", number=1, image_a="z", choice="tie")
    assert log.append(VOTE)
    assert log.append(later)
    assert read_log(tmp_path / "votes.jsonl") == log.votes == [VOTE, later]
    assert later.match == Match(0, 1, "z", "y", False)
    votes = read_votes(tmp_path / "votes.jsonl")
    assert votes[0] == Vote("a red fox 狐狸", "x", "y", "a", "p7", 1.5)
    pairs = pairs_from_votes(votes, {}, PairRules(0.0, None, 1, "none", 0.3, 0))
    assert [(row["winner"], row["loser"]) for row in pairs.table.to_pylist()] == [("x", "y")]


def test_a_vote_counts_once_whoever_wrote_it_twice(log: VotesLog, tmp_path: Path) -> None:
    assert log.append(VOTE)
    assert not log.append(replace(VOTE, choice="b"))
    file = tmp_path / "votes.jsonl"
    file.write_text(file.read_text() * 2)  # a copy that went wrong
    assert read_log(file) == [VOTE]


def test_of_several_votes_on_one_match_the_last_counts(log: VotesLog) -> None:
    log.append(VOTE)
    log.append(replace(VOTE, vote_id="fox/p7/0/0/1", choice="tie"))
    assert last_choices(log.votes) == {VOTE.match: "tie"}


def test_half_a_line_is_ignored_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    first = VotesLog(file)
    first.append(VOTE)
    first.close()
    whole = file.read_bytes()
    for cut in range(1, len(whole)):
        file.write_bytes(whole + whole[:cut])
        assert read_log(file) == [VOTE]
    again = VotesLog(file)
    try:
        assert again.append(replace(VOTE, vote_id="next"))
    finally:
        again.close()
    assert [vote.vote_id for vote in read_log(file)] == [VOTE.vote_id, "next"]
    assert file.read_bytes().startswith(whole)


def test_only_one_appends_at_a_time(log: VotesLog, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another page has this tournament open"):
        VotesLog(tmp_path / "votes.jsonl")


def test_a_writer_that_is_killed_loses_nothing_it_said_was_written(tmp_path: Path) -> None:
    file, said = tmp_path / "votes.jsonl", -1
    for delay_s in (0.0, 0.013, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), str(said + 1)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert process.stdout
        said = [int(process.stdout.readline()) for _ in range(3)][-1]  # however slow the disk is
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        said = int([str(said), *process.stdout.read().split()][-1])
        process.wait()
        process.stdout.close()
        ids = [vote.vote_id for vote in read_log(file)]
        assert ids[: said + 1] == [f"v{number}" for number in range(said + 1)]
        assert len(ids) <= said + 2  # one may be written but not yet told of
        said = len(ids) - 1
    assert said > 3


def test_of_a_vote_that_the_disk_has_no_room_for_nothing_is_left_and_it_can_be_given_again(tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    subprocess.run([sys.executable, "-c", ON_A_FULL_DISK, str(file)], check=True, cwd=ROOT)
    assert [(vote.vote_id, vote.choice) for vote in read_log(file)] == [(VOTE.vote_id, "a"), ("second", "b")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"choice": "left"}, "'choice' is 'left'"),
        ({"vote_id": ""}, "'vote_id' is ''"),
        ({"annotator": None}, "'annotator' is missing"),
        ({"round": -1}, "'round' is -1"),
        ({"number": True}, "'number' is True"),
        ({"is_repeat": 1}, "'is_repeat' is 1"),
        ({"versions": {"easel": 1}}, "'versions' is"),
        ({"time": "now"}, "'time' is 'now'"),
    ],
)
def test_a_line_that_is_no_vote_is_named(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text("".join(json.dumps(asdict(VOTE) | extra) + "\n" for extra in ({}, change)))
    with pytest.raises(DataError, match=rf"votes\.jsonl, line 2: {told}") as error:
        VotesLog(file)
    assert "\n" not in str(error.value)
    os.truncate(file, 0)
    VotesLog(file).close()  # the lock went with the refusal
