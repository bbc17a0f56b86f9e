"""Which registered versions a takedown withdrew, by the ledger's word: such a version is promoted by override alone."""

from typing import TYPE_CHECKING

from components.lineage.record import Record

if TYPE_CHECKING:
    from components.lineage.log import Ledger

WITHDRAW = "withdraw"


def withdrawal_of(ledger: "Ledger", name: str, number: int) -> str:
    """How version `number` of `name` was withdrawn, for people; "" if it was not. A takedown that was asked counts."""
    version = f"{name}:{number}"
    found = (one for _, one in ledger.records() if _policies(one).get(version) == WITHDRAW)
    return next((_told(one) for one in found), "")


def _policies(record: Record) -> dict[str, object]:
    told = record.decision.get("models")
    return {**told} if record.kind == "takedown" and isinstance(told, dict) else {}


def _told(record: Record) -> str:
    people = f"{record.people.get('asked_by', 'somebody')}: {record.people.get('reason', '')}"
    return f"withdrawn by the takedown {record.id[:12]} of {record.started_at[:10]} ({people})"
