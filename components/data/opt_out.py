"""Who asked not to be used: a list of salted digests, so that the list gives away neither images nor addresses.

One line a digest, hexadecimal, after a first line `easel opt-out SALT`. A digest is SHA-256 of the salt, a zero byte
and either the SHA-256 of an image's bytes (as in `sample_id`) or the address it was taken from. It answers for exactly
those bytes and that address: another coding of the image under another address is not recognised.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from components.data.errors import DataError

_HEADER = ("easel", "opt-out")


@dataclass(frozen=True)
class OptOut:
    """A salt, and the digests of what was opted out."""

    salt: str
    digests: frozenset[str]

    def names(self, value: str) -> bool:
        """Whether `value`, a `sample_id` or an address, is on the list."""
        return bool(value) and digest(self.salt, value) in self.digests


def digest(salt: str, value: str) -> str:
    """The digest of a `sample_id` or an address (scheme and host in small letters, no fragment)."""
    return hashlib.sha256(f"{salt}\0{_canonical(value)}".encode()).hexdigest()


def format_list(salt: str, values: Iterable[str]) -> str:
    """The file that opts `values` (`sample_id`s and addresses) out; ValueError if the salt is not one word."""
    if salt.split() != [salt]:
        raise ValueError(f"salt is {salt!r}; allowed: one word")
    return "\n".join([" ".join((*_HEADER, salt)), *sorted({digest(salt, value) for value in values})]) + "\n"


def read_list(file: Path) -> OptOut:
    """The list in `file`; DataError names the line that is none of it."""
    lines = file.read_bytes().decode(errors="replace").splitlines()
    header = lines[0].split() if lines else []
    if tuple(header[:2]) != _HEADER or len(header) != 3:
        raise DataError(f"{file}: line 1 is not `easel opt-out SALT`; write the list with `opt_out.format_list`")
    found = [line.strip().lower() for line in lines[1:]]
    wrong = next((number for number, line in enumerate(found, 2) if line and not _is_digest(line)), None)
    if wrong is not None:
        raise DataError(f"{file}: line {wrong} is not a SHA-256 in hexadecimal; correct or remove it")
    return OptOut(header[2], frozenset(line for line in found if line))


def _canonical(value: str) -> str:
    if "://" not in value:
        return value
    try:
        parts = urlsplit(value.strip())
    except ValueError:  # as `http://[`: known as it is written
        return value
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path, parts.query, ""))


def _is_digest(line: str) -> bool:
    return len(line) == 64 and set(line) <= set("0123456789abcdef")
