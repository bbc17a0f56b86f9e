"""From what a person gave (an image file, a digest, an address) to the sample that is meant, and what looks like it.

A sample is known by the SHA-256 of its image's bytes as they were received. Addresses, names and looks are those of
the workspace's catalogues: the ledger holds digests alone.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CATALOGUES = ("artifacts/tables/catalogue.parquet", "artifacts/tables/rendered_catalogue.parquet")
MAX_NEAR_BITS = 16
_ADDRESSES = ("source_id", "attribution")
_TOLD = ("source_id", "source", "title_en", "licence", "creator")
_MOST_NAMED = 10
_HEX = frozenset("0123456789abcdef")


class SampleNameError(ValueError):
    """A word that means no sample, or too many; one line says what to give instead."""


@dataclass(frozen=True)
class Near:
    """A sample that looks like another: in how many of the 64 bits of their perceptual hashes they differ."""

    sample_id: str
    distance: int
    source_id: str = ""


def find_sample(root: Path, text: str) -> str:
    """The id of the sample that `text` means: a file's bytes, a SHA-256, or an address that a catalogue knows.

    Raises:
        SampleNameError: it means none of these, or several samples.
    """
    text = text.strip()
    if len(text) == 64 and _HEX.issuperset(text.lower()):
        return text.lower()
    if (file := _file(text)) is not None:
        return hashlib.sha256(_bytes_of(file)).hexdigest()
    found = _at_address(root, text)
    if len(found) == 1:
        return found[0]
    if found:
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        names = ", ".join(found[:_MOST_NAMED])
        raise SampleNameError(f"{text}: the address of {len(found)} samples; give one of: {names}{more}")
    catalogues = "a catalogue in artifacts/tables/" if any(_catalogues(root)) else "any catalogue: there is none here"
    raise SampleNameError(
        f"{text!r}: no file, no SHA-256 (64 hexadecimal digits), and not an address in {catalogues}; give one of these"
    )


def facts_of(root: Path, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """What the workspace's catalogues tell of samples: name at the source, source, title, licence, creator."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from components.data.arrow import pc

    found: dict[str, dict[str, str]] = {}
    for file in _catalogues(root):
        names = [name for name in _TOLD if name in pq.read_schema(file).names]
        table = pq.read_table(file, columns=["sample_id", *names])
        rows = table.filter(pc.is_in(table.column("sample_id"), value_set=pa.array(list(ids), pa.string())))
        for row in rows.to_pylist():
            found.setdefault(row.pop("sample_id"), {name: str(value) for name, value in row.items() if value})
    return found


def near_samples(root: Path, sample_id: str, text: str, distance: int) -> list[Near]:
    """The other samples of the catalogues that look like this one, within `distance` bits; nearest first.

    The sample's own look is read from its file if `text` is one, else from a catalogue.

    Raises:
        SampleNameError: neither knows it, or there is no catalogue to compare with.
    """
    import numpy as np

    if not 0 <= distance <= MAX_NEAR_BITS:
        raise SampleNameError(f"--near is {distance}; allowed: 0 to {MAX_NEAR_BITS} bits of 64")
    ids, hashes, names = _looks(root)
    if not ids:
        raise SampleNameError(f"--near: no catalogue at {root / CATALOGUES[0]} to compare with; `easel run` makes one")
    places = [place for place, one in enumerate(ids) if one == sample_id]
    mine = hashes[places[0]] if places else _look_of(root, text)
    apart = np.bitwise_count(hashes ^ mine)
    found = [Near(ids[place], int(apart[place]), names[place]) for place in np.flatnonzero(apart <= distance)]
    return sorted((one for one in found if one.sample_id != sample_id), key=lambda one: (one.distance, one.sample_id))


def _file(text: str) -> Path | None:
    if "://" in text or not text or "\0" in text:
        return None
    try:
        return Path(text) if Path(text).exists() else None
    except OSError:
        return None


def _bytes_of(file: Path) -> bytes:
    if file.is_dir():
        raise SampleNameError(f"{file}: a folder; give one image file")
    try:
        return file.read_bytes()
    except OSError as error:
        raise SampleNameError(f"{file}: not readable ({error.strerror}); give an image file") from None


def _catalogues(root: Path) -> Iterator[Path]:
    return (root / name for name in CATALOGUES if (root / name).is_file())


def _at_address(root: Path, text: str) -> list[str]:
    """Ids of samples that a catalogue has at this address, or under this name of its source."""
    import pyarrow.parquet as pq

    from components.data.arrow import pc

    found = list[str]()
    for file in _catalogues(root):
        for name in _ADDRESSES:
            if name in pq.read_schema(file).names:
                table = pq.read_table(file, columns=["sample_id", name])
                found += table.filter(pc.equal(table.column(name), text)).column("sample_id").to_pylist()
    return list(dict.fromkeys(found))


def _looks(root: Path) -> tuple[list[str], Any, list[str]]:
    """Ids, perceptual hashes and names at the source of the samples that have a hash."""
    import numpy as np
    import pyarrow.parquet as pq

    from components.data.arrow import pc

    ids, hashes, names = list[str](), [np.empty(0, np.uint64)], list[str]()
    for file in _catalogues(root):
        table = pq.read_table(file, columns=["sample_id", "phash", "source_id"])
        table = table.filter(pc.is_valid(table.column("phash")))
        ids += table.column("sample_id").to_pylist()
        names += [name or "" for name in table.column("source_id").to_pylist()]
        hashes.append(table.column("phash").to_numpy())
    return ids, np.concatenate(hashes), names


def _look_of(root: Path, text: str) -> Any:
    """The perceptual hash of an image file that no catalogue has."""
    from components.data.config import DecodeLimits
    from components.data.intake import inspect_images
    from flows.parameters import PARAMS_FILE, read_blocks

    if (file := _file(text)) is None:
        raise SampleNameError("--near: no catalogue tells what this image looks like; give its file instead")
    has_parameters = (root / PARAMS_FILE).is_file()
    limits = read_blocks(root / PARAMS_FILE).get("ingest", {}).get("limits") if has_parameters else None
    told = DecodeLimits(**limits) if limits else DecodeLimits(50_000_000, 20_000_000, 500.0)
    facts = inspect_images([_bytes_of(file)], [None], told, with_repetition=False)
    if reason := facts.column("reason")[0].as_py():
        raise SampleNameError(f"{file}: cannot be compared, since it is no image that ingest would take ({reason})")
    return facts.column("phash").to_numpy()[0]
