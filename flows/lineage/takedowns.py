"""Taking images down: found, put on the opt-out list, deleted wherever we hold them, and signed for.

The order makes every kill harmless. What was found and planned is noted first, then recorded as `requested`; models
that are to be withdrawn lose their aliases, and the images are put on the opt-out list; only then bytes go; what is
left is looked for again; only then is the receipt signed and the takedown recorded as `completed`. Every step can be
done again, so the same command continues a killed takedown.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.lineage import takedown
from flows.data_objects import held, looked_at
from flows.lineage.ledger import open_ledger
from flows.lineage.takedown_affected import affected, showing
from flows.lineage.takedown_bytes import Wanted
from flows.lineage.takedown_deletion import delete_objects, delete_outputs, rewrite_raw
from flows.lineage.takedown_list import add_names, current_list
from flows.lineage.takedown_matches import Match, TakedownError, Wish, is_address
from flows.lineage.takedown_plan import Plan, plan
from flows.lineage.takedown_receipt import completed, requested, write_receipt
from flows.lineage.takedown_withdrawal import withdraw_models
from flows.lineage.takedown_work import (
    Order,
    Work,
    begin,
    matches_of,
    receipts_of,
    require_some,
    seen_too,
    wanted_of,
)
from flows.lineage.withdrawals import WITHDRAW
from flows.reports import write_durably
from flows.workspace_lock import alone


@dataclass(frozen=True)
class Preview:
    """What a takedown would do."""

    matches: list[Match]
    affected: takedown.Affected
    plan: Plan

    @property
    def was_seen(self) -> bool:
        """Whether any of the images was ever seen here."""
        return any(match.is_seen for match in self.matches)


@dataclass(frozen=True)
class Done:
    """A receipt and where it lies; `is_new` is False where an earlier takedown had done all of it."""

    signed: takedown.Signed
    file: Path
    proofs: Path | None
    is_new: bool


def preview(root: Path, wish: Wish) -> Preview:
    """What a takedown would find and delete; writes nothing.

    Raises:
        TakedownError: the wish cannot be understood here.
    """
    ledger = open_ledger(root)
    matches = matches_of(root, wish, ledger)
    require_some(root, wish, matches)
    wanted = wanted_of(wish, matches)
    with looked_at(root) as repository:
        found = plan(repository, wanted, showing(ledger, wanted.ids))
    return Preview(seen_too(matches, wanted), affected(root, ledger, wanted.ids, found), found)


def take_down(root: Path, order: Order, *, waits: bool = False) -> Done:
    """Take down what `order` asks for, or continue where an earlier call was killed.

    Raises:
        BusyError: something else works in the workspace, and `waits` is False.
        ValueError: in one line, for what cannot be done as asked; nothing was deleted then, unless it says so.
    """
    current_list(root)  # refuse before waiting
    with alone(root, _stages(root), waits=waits), held(root) as repository:
        work = begin(root, order, repository)
        if (earlier := _earlier(work)) is not None:
            return earlier
        for step in STEPS:
            step(work)
        assert work.signed is not None
        file = work.receipt_file
        proofs = file.with_suffix(".proofs.json")
        return Done(work.signed, file, proofs if proofs.is_file() else None, is_new=True)


def _stages(root: Path) -> list[str]:
    from flows.freshness import lock_entries

    return sorted(lock_entries(root))


def _earlier(work: Work) -> Done | None:
    """The receipt of an earlier takedown of the same wish, if nothing has come back since and none is under way."""
    if work.noted.is_file() or not work.plan.is_empty:
        return None
    receipts = receipts_of(work.root, work.order)
    if not receipts:
        return None
    signed = takedown.read_signed(receipts[-1].read_bytes())
    if work.order.policy == WITHDRAW != signed.receipt.request.policy:
        return None
    if {one.digest for one in work.salted()} - {one.digest for one in signed.receipt.matches}:
        return None
    file = work.root / work.known.path
    if not file.is_file() or {one.digest for one in signed.receipt.matches} - work.known.held.digests:
        return None
    proofs = receipts[-1].with_suffix(".proofs.json")
    return Done(signed, receipts[-1], proofs if proofs.is_file() else None, is_new=False)


def take_note(work: Work) -> None:
    """Keep what was found, so that it is known even when the data no longer tell."""
    write_durably(work.noted, json.dumps(work.note, indent=2) + "\n")


def record_request(work: Work) -> None:
    """Have the ledger say what was asked, before anything is deleted."""
    work.ledger.append(requested(work))


def extend_list(work: Work) -> None:
    """Put the images, and the addresses they came from, on the opt-out list, and pin its new content."""
    names = {match.sample_id for match in work.matches}
    names |= {match.source_id for match in work.matches if is_address(match.source_id)}
    if work.order.wish.method == "url":
        names.add(work.order.wish.value)
    work.note["opt_out"] = add_names(work.root, work.known, names)


def change_raw(work: Work) -> None:
    """Write the raw files without the images, and pin the new data."""
    rewrite_raw(work.root, work.plan, work.wanted)
    if work.plan.raw:
        work.held.pin()


def drop_outputs(work: Work) -> None:
    """Delete derived files of the workspace; the next run makes them anew without the images."""
    delete_outputs(work.root, work.plan)


def drop_objects(work: Work) -> None:
    """Delete every old object in DVC's cache and remotes."""
    if work.plan.objects:
        delete_objects(work.held, work.plan)


def look_again(work: Work) -> None:
    """Refuse to call the takedown complete while anything that could be deleted is there.

    Raises:
        TakedownError: names the first such thing.
    """
    wanted = Wanted(work.wanted.ids, work.wanted.images)
    left = plan(work.held, wanted, showing(work.ledger, wanted.ids))
    there = [*left.raw, *left.outputs, *left.at_home, *(f"object {name}" for name in left.objects)]
    # What held no bytes of it is found again only beside a hit: so look at its very place, too.
    there += [path for path in (*work.plan.outputs, *work.plan.at_home) if (work.root / path).exists()]
    if there:
        raise TakedownError(f"{there[0]} still holds an image (of {len(there)}); run the same command again")


def sign_receipt(work: Work) -> None:
    """Write the receipt, and beside it proofs of absence for an image that was never seen."""
    work.signed = write_receipt(work)


def record_completion(work: Work) -> None:
    """Have the ledger say that it is done, and keep the receipt; then the note is no longer needed."""
    assert work.signed is not None
    blobs = {f"receipts/{work.signed.digest}": work.signed.data}
    work.ledger.append(completed(work, work.signed), blobs)
    work.noted.unlink(missing_ok=True)


STEPS: tuple[Callable[[Work], None], ...] = (
    take_note,
    record_request,
    withdraw_models,
    extend_list,
    change_raw,
    drop_outputs,
    drop_objects,
    look_again,
    sign_receipt,
    record_completion,
)
