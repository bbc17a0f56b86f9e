"""Files of a bucket, through boto3 alone: listed page by page, read in ranges, tried again where the net fails.

Every read asks for the version that was listed (`If-Match` with its ETag), so an object that is changed or deleted
midway is refused instead of being put together from two. Credentials, region and endpoint are boto3's own business
(AWS_ENDPOINT_URL, ~/.aws/...).
"""

import io
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError

from components.data.errors import DataError
from components.data.readers.interface import RefusedError, too_large
from components.data.readers.stores import Stored

_RANGE_BYTES = 8 << 20
_ATTEMPTS = 4
_CHANGED = frozenset({"PreconditionFailed", "412"})
_VANISHED = frozenset({"NoSuchKey", "404", "NoSuchVersion"})
_T = TypeVar("_T")


class S3Store:
    """The objects below `s3://BUCKET/PREFIX`; a prefix that is an object's whole key is that object alone."""

    def __init__(self, uri: str, *, page_size: int = 1000) -> None:
        self._bucket, _, self._prefix = uri.removeprefix("s3://").partition("/")
        if not self._bucket:
            raise DataError(f"{uri}: names no bucket; write s3://BUCKET/PREFIX")
        config = Config(retries={"max_attempts": _ATTEMPTS, "mode": "standard"}, connect_timeout=10, read_timeout=30)
        self._uri, self._page_size = uri, page_size
        try:
            self._client: Any = boto3.client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise DataError(f"{uri}: {error}") from None

    def listing(self) -> Iterator[Stored]:
        """Every object but folder marks and hidden ones, in the order of the keys."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix, PaginationConfig={"PageSize": self._page_size}
        )
        try:
            for page in pages:
                for entry in page.get("Contents", ()):
                    key = self._below(entry["Key"])
                    if key and not key.endswith("/") and not any(part.startswith(".") for part in key.split("/")):
                        yield Stored(key, entry["Size"], entry["ETag"].strip('"'), at=entry["Key"])
        except (ClientError, BotoCoreError) as error:
            raise DataError(f"{self._uri}: cannot be listed ({error}); check name, credentials and endpoint") from None

    def read(self, stored: Stored, max_bytes: int) -> bytes:
        """The whole object."""
        if stored.size > max_bytes:
            raise too_large(stored.key, stored.size, max_bytes)
        return self._range(stored, 0, stored.size) if stored.size else b""

    @contextmanager
    def opened(self, stored: Stored) -> Generator[IO[bytes]]:
        """The object as a file that fetches ranges as they are read."""
        yield io.BufferedReader(
            _Ranges(lambda start, stop: self._range(stored, start, stop), stored.size), _RANGE_BYTES
        )

    def _below(self, key: str) -> str:
        """The key below the prefix; "" for a neighbour whose name only begins like it."""
        if key == self._prefix:
            return key.rpartition("/")[2]
        folder = self._prefix if not self._prefix or self._prefix.endswith("/") else self._prefix + "/"
        return key.removeprefix(folder) if key.startswith(folder) else ""

    def _range(self, stored: Stored, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of the version that was listed."""
        asked = {"Range": f"bytes={start}-{stop - 1}", "IfMatch": f'"{stored.fingerprint}"'}

        def get() -> bytes:
            found = self._client.get_object(Bucket=self._bucket, Key=stored.at, **asked)
            data = found["Body"].read()
            if len(data) != stop - start:
                raise IncompleteReadError(actual_bytes=len(data), expected_bytes=stop - start)
            return data

        try:
            return _tried_again(get)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            reason = "changed_midway" if code in _CHANGED else "vanished" if code in _VANISHED else "not_readable"
            raise RefusedError(stored.key, reason, str(error), "failed") from None
        except BotoCoreError as error:
            raise RefusedError(stored.key, "not_readable", str(error), "failed") from None


class _Ranges(io.RawIOBase):
    """A read-only file over a function that fetches bytes [start, stop)."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size, self._at = fetch, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        stop = min(self._size, self._at + len(buffer))
        if stop <= self._at:
            return 0
        data = self._fetch(self._at, stop)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _tried_again(get: Callable[[], _T]) -> _T:
    """`get()`, again where the body broke off, which boto3 does not try again by itself."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return get()
        except (HTTPClientError, IncompleteReadError, ResponseStreamingError):
            continue
    return get()
