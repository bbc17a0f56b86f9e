"""WebDataset shards: plain tar files whose members of one name, up to its first dot, are one sample.

Fields that are neither image nor words are left out. Nothing is ever extracted to disk. Members are read by their
header's size, below a limit; links, devices, names that lead out of the folder and archives are refused one by one, and
the rest of the shard is read all the same.
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any, cast

from components.data.readers.folder import ARCHIVE_ENDINGS, IMAGE_ENDINGS, WORD_ENDINGS
from components.data.readers.interface import (
    Outcome,
    ReadLimits,
    Refusal,
    RefusedError,
    Sample,
    checked_image,
    checked_name,
    too_large,
)
from components.data.readers.shards import ShardReader
from components.data.readers.stores import Stored
from components.data.readers.words import fields_of, words_of

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MAX_HEADER_BYTES = 16_000_000


class WebDatasetReader(ShardReader):
    """Tar files; compressed ones are listed and refused."""

    endings = (".tar", *_COMPRESSED)

    def _rows(self, key: str, file: Stored) -> Iterator[Outcome]:
        if not file.key.lower().endswith(".tar"):
            raise RefusedError(key, "compressed_archive", "read are plain .tar shards; decompress it")
        with self._store.opened(file) as stream:
            yield from self._samples(key, stream)

    def _samples(self, shard: str, stream: IO[bytes]) -> Iterator[Outcome]:
        seen: set[str] = set()
        key, fields = "", dict[str, bytes]()
        for name, read in _members(shard, stream, self._limits):
            if isinstance(read, Refusal):
                yield read
                continue
            stem, ending = _split(name)
            if stem != key:
                yield from self._sample(shard, key, fields)
                key, fields = stem, {}
                is_repeat = stem in seen
                seen.add(stem)
                if is_repeat:
                    yield Refusal(f"{shard}/{name}", "listed_twice", "its sample came before", "repeated")
                    key = ""
                    continue
            if ending in fields:
                yield Refusal(f"{shard}/{name}", "listed_twice", "the same name came before", "repeated")
            else:
                fields[ending] = read
        yield from self._sample(shard, key, fields)

    def _sample(self, shard: str, key: str, fields: dict[str, bytes]) -> Iterator[Outcome]:
        if not fields:
            return
        ending = next((ending for ending in fields if ending in IMAGE_ENDINGS), None)
        if ending is None:
            yield Refusal(f"{shard}/{key}", "no_image", f"only {', '.join(sorted(fields))}")
            return
        name = f"{shard}/{key}{ending}"
        try:
            image = checked_image(name, fields[ending], self._limits)
            told = fields_of(fields.get(".txt"), fields.get(".json"), name.removesuffix(ending), self._limits)
            words = words_of(told, name, self._limits)
        except RefusedError as error:
            yield error.refusal
            return
        yield Sample(name, image, words | {"folder": words["folder"] or key.rpartition("/")[0] or None})


class _Bounded:
    """A file that refuses to read a header of absurd length, which tarfile would put into memory at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell
        self.limit = _MAX_HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.limit:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


def _members(shard: str, stream: IO[bytes], limits: ReadLimits) -> Iterator[tuple[str, bytes | Refusal]]:
    """Name and bytes of each member that a sample may need, or its refusal; RefusedError at the first damage."""
    try:
        with tarfile.open(fileobj=cast(IO[bytes], _Bounded(stream)), mode="r:") as tar:
            while (member := tar.next()) is not None:
                cast(Any, tar).members = []  # it would remember every header
                if member.isdir():
                    continue
                try:
                    _check_member(shard, member, limits)
                    ending = _split(member.name)[1]
                    if ending in (*IMAGE_ENDINGS, *WORD_ENDINGS):
                        yield member.name, _content(tar, shard, member)
                    elif ending.endswith(IMAGE_ENDINGS):
                        detail = f"field {ending[1:]} of its sample, whose image is .jpg, .png or .webp"
                        yield "", Refusal(f"{shard}/{member.name}", "not_the_image", detail)
                except RefusedError as error:
                    if error.refusal.status == "failed":
                        raise
                    yield "", error.refusal
            # tarfile takes a header that is cut off or garbled for the end; the end is a block of zeros.
            stream.seek(tar.offset)
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise RefusedError(shard, "damaged_archive", f"no member and no end mark at byte {tar.offset}")
    except (tarfile.TarError, UnicodeError, ValueError, EOFError) as error:
        raise RefusedError(shard, "damaged_archive", str(error)) from None


def _content(tar: tarfile.TarFile, shard: str, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member) or io.BytesIO()
    data = b"".join(iter(lambda: stream.read(1 << 20), b""))
    if len(data) != member.size:
        raise RefusedError(shard, "damaged_archive", f"{member.name} ends early")
    return data


def _check_member(shard: str, member: tarfile.TarInfo, limits: ReadLimits) -> None:
    name = f"{shard}/{member.name}"
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise RefusedError(name, "unsafe_name", "leads out of the archive")
    checked_name(name)
    if member.issym() or member.islnk():
        raise RefusedError(name, "link", f"to {member.linkname}")
    if not member.isfile():
        raise RefusedError(name, "not_a_file", "a device or a pipe")
    if path.suffix.lower() in ARCHIVE_ENDINGS:
        raise RefusedError(name, "archive_inside", "an archive in an archive")
    if member.size > limits.max_image_bytes:
        raise too_large(name, member.size, limits.max_image_bytes)


def _split(name: str) -> tuple[str, str]:
    """The sample's key and the ending of the member, in small letters; the first dot of the last name parts them."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    stem, dot, ending = last.partition(".")
    return folder + slash + stem, (dot + ending).lower()
