"""The ledger's values as objects of a bucket, through boto3: created with `If-None-Match: *`, so never replaced.

With `lock_days` every object is put under S3 object lock in compliance mode: nobody, not even the account's owner, can
delete it before that time is over. The bucket must have been made with object lock. Credentials, region and endpoint
are boto3's own business (AWS_ENDPOINT_URL, ~/.aws/...).
"""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.lineage.errors import LedgerError
from components.lineage.store import checked_name

_ATTEMPTS = 5
_MOST_CONFLICTS = 10
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 1.0
_TAKEN = frozenset({"PreconditionFailed", "412"})
_AGAIN = frozenset({"ConditionalRequestConflict", "409"})
_ABSENT = frozenset({"NoSuchKey", "404"})


class S3Store:
    """The objects below `s3://BUCKET/PREFIX`.

    Args:
        url: bucket and prefix.
        endpoint: another server than boto3 is set to.
        lock_days: for how long no object can be deleted; 0 sets no lock.
    """

    reads_at_once = 16

    def __init__(self, url: str, *, endpoint: str | None = None, lock_days: int = 0) -> None:
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not self._bucket or not url.startswith("s3://"):
            raise LedgerError(f"{url}: names no bucket; write s3://BUCKET/PREFIX")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._url, self._lock_days, self._is_proven = url, lock_days, False
        retries: Any = {"max_attempts": _ATTEMPTS, "mode": "standard"}
        config = Config(retries=retries, connect_timeout=10, read_timeout=60, max_pool_connections=self.reads_at_once)
        try:
            self._client: Any = boto3.client("s3", config=config, endpoint_url=endpoint)
        except (BotoCoreError, ValueError) as error:
            raise LedgerError(f"{url}: {error}") from None

    def __str__(self) -> str:
        return self._url

    def read(self, name: str) -> bytes | None:
        """The object's bytes; None if there is no such object."""
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + checked_name(name))
            return found["Body"].read()
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise self._refusal(name, error) from None
        except BotoCoreError as error:
            raise self._refusal(name, error) from None

    def create(self, name: str, data: bytes) -> bool:
        """Put a new object; False if there is one of that name.

        The first one is put twice, so that a server is refused which would let the second writer of a name win.
        """
        is_new = self._put(name, data)
        if is_new and not self._is_proven and self._put(name, data):
            raise LedgerError(f"{self._url}: the server ignores `If-None-Match`; two writers would lose records there")
        self._is_proven = True
        return is_new

    def _put(self, name: str, data: bytes) -> bool:
        place = {"Bucket": self._bucket, "Key": self._prefix + checked_name(name)}
        for number in range(_MOST_CONFLICTS):
            try:
                self._client.put_object(**place, Body=data, IfNoneMatch="*", **self._lock())
                return True
            except ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                if _code(error) not in _AGAIN:
                    raise self._refusal(name, error) from None
            except BotoCoreError as error:
                raise self._refusal(name, error) from None
            longest = min(_FIRST_WAIT_S * 2**number, _LONGEST_WAIT_S)
            time.sleep(random.uniform(longest / 2, longest))  # else those in each other's way meet again
        raise LedgerError(f"{self._url}/{name}: other writers are in the way; try again")

    def names(self, prefix: str) -> list[str]:
        """The objects whose names begin so."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        try:
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        except (ClientError, BotoCoreError) as error:
            raise self._refusal(prefix, error) from None
        return sorted(key.removeprefix(self._prefix) for key in keys if not key.endswith("/"))  # no folder marks

    def _lock(self) -> dict[str, Any]:
        if not self._lock_days:
            return {}
        until = datetime.now(UTC) + timedelta(days=self._lock_days)
        return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until, "ChecksumAlgorithm": "SHA256"}

    def _refusal(self, name: str, error: Exception) -> LedgerError:
        what = str(error).splitlines()[0]
        return LedgerError(f"{self._url}: {name}: {what}; check bucket, credentials, endpoint and object lock")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
