"""The log of a tournament's votes: append-only, one JSON object per line, of which none is lost or counted twice.

    {"vote_id": "fox/p7/0/3/0", "tournament": "fox", "round": 0, "number": 3, "is_repeat": false, "prompt": "a red fox",
     "image_a": SAMPLE_ID, "image_b": SAMPLE_ID, "choice": "a", "annotator": "p7", "time": 1.5e9,
     "versions": {"easel": "0.1.0"}}

`image_a` stood left. A line counts once it ends in a line break, and it is on the disk before `append` returns; what a
killed process left of a line is ignored by readers and cut off by the next writer. Of lines with one `vote_id` the
first counts. A changed mind is a line with another id: of several on one match the last counts. The file is one of
those that `votes.read_votes` reads.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.data.errors import DataError
from components.data.readers.interface import printable
from components.preference.json_rows import MAX_ROW_CHARACTERS, number_of, rows_of_lines, text_of
from components.preference.swiss import Match
from components.preference.votes import CHOICES, Choice

_MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class LoggedVote:
    """A line of the log. `time` is in seconds since 1970; `versions` are those of what showed the images."""

    vote_id: str
    tournament: str
    round: int
    number: int
    is_repeat: bool
    prompt: str
    image_a: str
    image_b: str
    choice: Choice
    annotator: str
    time: float
    versions: dict[str, str]

    @property
    def match(self) -> Match:
        """What was voted on."""
        return Match(self.round, self.number, self.image_a, self.image_b, self.is_repeat)


class VotesLog:
    """The log in `file`, to which this object alone appends until it is closed; made if it is not there.

    DataError in one line if somebody else has it open, or for a line that is no vote.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.votes = read_log(file)
            self._end = _end_of_lines(self._descriptor)
            os.ftruncate(self._descriptor, self._end)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise DataError(f"{file}: another page has this tournament open; close it, or go on there") from error
        except BaseException:
            os.close(self._descriptor)
            raise
        self._ids = {vote.vote_id for vote in self.votes}

    def append(self, vote: LoggedVote) -> bool:
        """Write the vote and wait until the disk has it; False if one with its id is there already.

        OSError if it could not be written: then nothing of it is left.
        """
        if vote.vote_id in self._ids:
            return False
        line = json.dumps(asdict(vote), ensure_ascii=False).encode() + b"\n"
        if len(line) > MAX_ROW_CHARACTERS:
            raise DataError(f"{self._file}: a vote of {len(line)} bytes; shorten its prompt or names")
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(line)
        self._ids.add(vote.vote_id)
        self.votes.append(vote)
        return True

    def close(self) -> None:
        """Let others append."""
        os.close(self._descriptor)


def read_log(file: Path) -> list[LoggedVote]:
    """The votes that count, in the order in which they came; the file may be growing, or end in half a line.

    DataError naming file and line for a line that is no vote.
    """
    found: dict[str, LoggedVote] = {}
    for place, row in rows_of_lines(file, is_growing=True):
        vote = _logged(row, place)
        found.setdefault(vote.vote_id, vote)
    return list(found.values())


def last_choices(votes: list[LoggedVote]) -> dict[Match, Choice]:
    """What was chosen in each match, at last."""
    return {vote.match: vote.choice for vote in votes}


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line ends, in bytes."""
    at = os.fstat(descriptor).st_size
    while at:
        start = max(0, at - (1 << 16))
        found = os.pread(descriptor, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _logged(row: Mapping[str, Any], place: str) -> LoggedVote:
    choice: Any = row.get("choice")
    if choice not in CHOICES:
        raise DataError(f"{place}: 'choice' is {printable(repr(choice))[:80]}; allowed: {', '.join(CHOICES)}")
    names = {
        key: text_of(row, key, place, max_characters=_MAX_NAME_CHARACTERS)
        for key in ("tournament", "image_a", "image_b", "annotator")
    }
    versions, is_repeat = row.get("versions"), row.get("is_repeat")
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise DataError(f"{place}: 'versions' is {printable(repr(versions))[:80]}; allowed: an object of texts")
    if not isinstance(is_repeat, bool):
        raise DataError(f"{place}: 'is_repeat' is {printable(repr(is_repeat))[:80]}; allowed: true or false")
    return LoggedVote(
        **names,
        vote_id=text_of(row, "vote_id", place, max_characters=4 * _MAX_NAME_CHARACTERS),
        round=_count(row, "round", place),
        number=_count(row, "number", place),
        is_repeat=is_repeat,
        prompt=text_of(row, "prompt", place),
        choice=choice,
        time=number_of(row.get("time"), "time", place),
        versions=versions,
    )


def _count(row: Mapping[str, Any], key: str, place: str) -> int:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DataError(f"{place}: {key!r} is {printable(repr(value))[:80]}; allowed: a whole number, 0 or more")
    return value
