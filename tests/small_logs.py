"""Records with nothing but a number, for logs of which only order, signatures and bytes matter."""

from datetime import UTC, datetime

from components.lineage.record import Record

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMES = {"started_at": "2026-11-23T12:00:00.000Z", "ended_at": "2026-11-23T12:00:01.000Z"}


def record(number: int, **facts) -> Record:
    return Record(kind="stage", subject=f"stage_{number}", **TIMES, **facts)
