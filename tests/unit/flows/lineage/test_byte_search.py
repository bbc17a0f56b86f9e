"""Searching for many strings at once finds what Python's own `in` finds."""

import mmap
import random
from pathlib import Path

import pytest

from flows.lineage.byte_search import Needles


@pytest.mark.parametrize("number", [1, 8, 9, 300])
def test_it_finds_what_python_finds(number: int) -> None:
    draw = random.Random(number)
    needles = [draw.randbytes(draw.randint(32, 200)) for _ in range(number)]
    found = Needles(needles)
    for length in (0, 1, 7, 8, 9, 31, 500, 4096):
        without = draw.randbytes(length)
        assert found.are_in(without) is any(needle in without for needle in needles) is False
        for needle in (needles[0], needles[-1], draw.choice(needles)):
            place = draw.randint(0, length)
            data = without[:place] + needle + without[place:]
            assert found.are_in(data)
            assert not found.are_in(data.replace(needle, needle[:-1] + bytes([needle[-1] ^ 1])))


def test_strings_that_begin_and_end_alike_are_told_apart() -> None:
    """As pictures do: one header, runs of zeros, one ending."""
    head, tail = b"\x89PNG\r\n\x1a\n" * 8, bytes(64) + b"IEND"
    needles = [head + number.to_bytes(4, "big") * 3 + tail for number in range(100)]
    found = Needles(needles[:50])
    assert all(found.are_in(b"some" + needle + b"page") for needle in needles[:50])
    assert not any(found.are_in(b"some" + needle + b"page") for needle in needles[50:])
    assert not found.are_in(head + tail)


def test_a_file_is_searched_where_it_lies(tmp_path: Path) -> None:
    draw = random.Random(3)
    needles = [draw.randbytes(64) for _ in range(20)]
    file = tmp_path / "file"
    file.write_bytes(draw.randbytes(5000) + needles[7] + b"end")
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert Needles(needles).are_in(data)
        assert not Needles(needles[8:]).are_in(data)
