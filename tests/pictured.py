"""One picture of planted records for every exporter's tests: a chain, a promotion of its model, and a takedown."""

from ledgers import hostile_record, sample_records, sha

from components.lineage.exporters.model import Picture
from components.lineage.exporters.records import picture
from components.lineage.record import Record

TAKEN_DOWN = sha("image 0")


def takedown(parent: str) -> Record:
    """A takedown of one image, as a decision that stands on the model's record."""
    return Record(
        kind="takedown",
        subject="takedown",
        parents=(parent,),
        started_at="2026-11-22T09:00:00.000Z",
        ended_at="2026-11-22T09:00:01.500Z",
        people={"asked_by": "zoë", "reason": "not mine to give"},
        decision={"samples": [TAKEN_DOWN], "result": "deleted"},
    )


def planted_records() -> tuple[list[Record], str]:
    """The records, and the id of the record that the documents are about."""
    planted = sample_records()
    subject = planted.ids["export_turbo"]
    return [*planted.records, takedown(subject)], subject


def planted_picture() -> Picture:
    """The picture of `planted_records`."""
    return picture(*planted_records())


def hostile_picture(text: str) -> Picture:
    """A picture all of whose texts are `text`."""
    record = hostile_record(text)
    return picture([record], record.id)
