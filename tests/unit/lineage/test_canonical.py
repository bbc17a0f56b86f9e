"""Canonical JSON: what RFC 8785 says, however it is reached, and one clear line for what has no canonical form."""

import json
import random
import sys

import pytest
import rfc8785

from components.lineage.canonical import CanonicalError, canonical, parse
from components.lineage.model_signature import SignatureError, read_statement
from components.lineage.record import RecordError, read_record

LETTERS = ["a", "B", "0", "~", "\x7f", "\n", "\b", "\x00", "\x1f", '"', "\\", "/", "\u0080", "\u00f6", "\u20ac"]
LETTERS += ["\u2028", "\ue000", "\ufb33", "\uffff", "\U00010000", "\U0001f600"]


def drawn(random_, depth=0):
    """Any value: keys and texts of letters that writers of JSON disagree about."""
    kind = random_.randrange(4 if depth > 3 else 7)
    some = random_.choices(LETTERS[: random_.choice((12, len(LETTERS)))], k=random_.randrange(4))
    match kind:
        case 0 | 1:
            return "".join(some)
        case 2:
            return random_.choice((True, False, None))
        case 3:
            return random_.randrange(-(2**53) + 1, 2**53)
        case 4:
            return [drawn(random_, depth + 1) for _ in range(random_.randrange(4))]
        case _:
            return {"".join(random_.sample(LETTERS, 2)): drawn(random_, depth + 1) for _ in range(random_.randrange(5))}


def test_the_bytes_are_those_of_the_reference_and_are_read_back():
    random_ = random.Random(3)
    for _ in range(2000):
        value = drawn(random_)
        assert canonical(value) == rfc8785.dumps(value)
        assert parse(canonical(value)) == value


def test_keys_are_sorted_as_the_standard_s_example_says():
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical(value)).values()) == [2, 4, 6, 7, 1, 5, 3]  # RFC 8785 section 3.2.3


OTHERS = [b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a": 1}', b'"\\u0061"', b"-0", b"1.0", b"1e3", b"NaN", b"", b"{"]
OTHERS += [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'"\xff"', b"9007199254740993", b"1" + b"0" * 5000]
OTHERS += [b'"\\ud800"', b'{"\\udc00":1}']


@pytest.mark.parametrize("data", OTHERS)
def test_another_writing_of_a_value_is_refused(data):
    with pytest.raises(CanonicalError):
        parse(data)


def test_values_that_lie_too_deep_are_one_line():
    for data in (b"[" * 100_000, b"[" * sys.getrecursionlimit() + b"]" * sys.getrecursionlimit()):
        with pytest.raises(CanonicalError, match="too deeply"):
            parse(data)
        with pytest.raises(RecordError, match="too deeply"):
            read_record(data)
        with pytest.raises(SignatureError, match="no signature of a model"):
            read_statement(data, b"")
    value = []
    for _ in range(2 * sys.getrecursionlimit()):
        value = [value]
    with pytest.raises(CanonicalError, match="too deeply"):
        canonical(value)


def test_half_a_character_is_named_by_its_place():
    """A file name that is no UTF-8 comes as half of a surrogate pair."""
    name = b"caf\xe9".decode(errors="surrogateescape")
    with pytest.raises(CanonicalError, match=r"^\$\.files\[0\]: 'caf\\udce9' is no Unicode text$"):
        canonical({"files": [name]})
    with pytest.raises(CanonicalError, match="is no Unicode text"):
        canonical({name: 1})
