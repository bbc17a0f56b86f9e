"""Times as the ledger writes them, and no others: texts that sort as the times do."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def stamp(time: datetime) -> str:
    """UTC, ISO 8601 with milliseconds and `Z`: such texts sort as the times do."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(text: str) -> str:
    """`text`, if `stamp` writes a time so."""
    with suppress(ValueError, OverflowError):
        if stamp(datetime.fromisoformat(text)) == text:
            return text
    raise ValueError(f"{text[:40]!r} is no time as the log writes it: 2026-11-23T12:00:00.000Z")


Time = Annotated[str, AfterValidator(_time)]
