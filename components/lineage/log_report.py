"""What a check of the log reports beside a fault: whose signatures there are, and what is worth knowing."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.lineage.errors import Fault
from components.lineage.log_files import Entry, Head, entry_name

_MOST_BEHIND = 3
"""After one clock that was far ahead every later entry is behind."""


@dataclass(frozen=True)
class Span:
    """Entries first, ..., last that were first signed for with one key."""

    key_id: str
    first: int
    last: int


@dataclass(frozen=True)
class LogReport:
    """What a check found.

    Args:
        fault: the first thing that does not hold; None if all does.
        size: entries that the newest head covers.
        root: its root, "" for an empty log.
        spans: which key signed for which entries.
        remarks: what is no fault and yet worth knowing.
    """

    fault: Fault | None
    size: int = 0
    root: str = ""
    spans: tuple[Span, ...] = ()
    remarks: tuple[str, ...] = ()


def spans_of(heads: Sequence[Head]) -> tuple[Span, ...]:
    """Which key was the first to sign for which entries."""
    spans = list[Span]()
    for head in heads:
        first = spans[-1].last + 1 if spans else 0
        if spans and spans[-1].key_id == head.key_id:
            first = spans.pop().first
        spans.append(Span(head.key_id, first, head.size - 1))
    return tuple(spans)


def remarks_on(entries: Sequence[Entry], head: Head | None, strays: Sequence[str], *, is_trusting: bool) -> list[str]:
    """What no signature covers, what killed writers left (`strays`), clocks that were behind, and whom we believed."""
    remarks = list[str]()
    if late := len(entries) - (head.size if head else 0):
        last = "the last entry is" if late == 1 else f"the last {late} entries are"
        remarks.append(f"{last} under no signed head yet; the next append signs")
    if strays:
        remarks.append(f"{len(strays)} stored but not in the log (killed writers), first {strays[0]}")
    behind = [entry for entry in entries if entry.clock_behind_s]
    for entry in behind[:_MOST_BEHIND]:
        place = entry_name(entry.index)
        remarks.append(f"{place}: its writer's clock was {entry.clock_behind_s} s behind the entry before")
    if more := behind[_MOST_BEHIND:]:
        remarks.append(f"{len(more)} more entries whose writers' clocks were behind, last {entry_name(more[-1].index)}")
    if head and is_trusting:
        remarks.append(
            f"the keys are the ledger's own word: compare the id {head.key_id} with what its owner told you, "
            "or give the public key"
        )
    return remarks
