"""Taking images down: found, put on the opt-out list, deleted wherever we hold them, and signed for.

The order makes every kill harmless. What was found and planned is noted first, then recorded as `requested`, then put
on the opt-out list; only then bytes go; what is left is looked for again; only then is the receipt signed and the
takedown recorded as `completed`. Every step can be done again, so the same command continues a killed takedown.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lineage import takedown
from components.lineage.canonical import digest
from components.lineage.folder_digests import path_digest
from components.lineage.record import Record, Samples
from flows import settings
from flows.data_objects import Held, held, looked_at
from flows.lineage.ledger import open_ledger, signer
from flows.lineage.stage_records import now
from flows.lineage.takedown_affected import absence, affected, is_in_a_set
from flows.lineage.takedown_bytes import Wanted
from flows.lineage.takedown_deletion import delete_objects, delete_outputs, rewrite_raw, unreached
from flows.lineage.takedown_list import List, add_names, current_list
from flows.lineage.takedown_matches import Match, TakedownError, Wish, asked_id, find_matches, is_address
from flows.lineage.takedown_plan import Plan, plan
from flows.parameters import PARAMS_FILE
from flows.reports import write_durably
from flows.workspace_lock import alone

if TYPE_CHECKING:
    from components.lineage.log import Ledger


@dataclass(frozen=True)
class Order:
    """What is asked for: which images, why, by whom, and what shall become of models that saw them."""

    wish: Wish
    reason: str
    by: str
    policy: takedown.Policy = "retrain"

    @property
    def name(self) -> str:
        """What the takedown's files are called: the same wish has the same name."""
        return digest(asdict(self.wish) | {"value": asked_id(self.wish) or self.wish.value})[:16]


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


@dataclass
class Work:
    """A takedown under way. `note` is what the file `noted` holds: enough to continue after a kill."""

    root: Path
    order: Order
    held: Held
    ledger: "Ledger"
    known: List
    matches: list[Match]
    plan: Plan
    affected: takedown.Affected
    wanted: Wanted
    note: dict[str, Any] = field(default_factory=dict[str, Any])
    signed: takedown.Signed | None = None

    @property
    def noted(self) -> Path:
        """Where the note lies until the takedown is complete."""
        return folder(self.root) / f"{self.order.name}.pending.json"

    @property
    def was_seen(self) -> bool:
        """As `Preview.was_seen`."""
        return any(match.is_seen for match in self.matches)

    def salted(self) -> list[takedown.Match]:
        """The matches as receipt and records name them."""
        return [
            takedown.Match.model_validate(
                {"digest": self.known.salted(one.sample_id), "method": one.method, "distance": one.distance}
            )
            for one in sorted(self.matches, key=lambda one: one.sample_id)
        ]


def folder(root: Path) -> Path:
    """Where receipts lie, and the notes of takedowns that are not complete."""
    return settings.home(root) / "takedowns"


def preview(root: Path, wish: Wish) -> Preview:
    """What a takedown would find and delete; writes nothing.

    Raises:
        TakedownError: the wish cannot be understood here.
    """
    ledger = open_ledger(root)
    matches = _matches(root, wish, ledger)
    wanted = Wanted(frozenset(match.sample_id for match in matches))
    with looked_at(root) as repository:
        found = plan(repository, wanted)
    return Preview(matches, affected(root, ledger, wanted.ids, found), found)


def take_down(root: Path, order: Order, *, waits: bool = False) -> Done:
    """Take down what `order` asks for, or continue where an earlier call was killed.

    Raises:
        BusyError: something else works in the workspace, and `waits` is False.
        ValueError: in one line, for what cannot be done as asked; nothing was deleted then, unless it says so.
    """
    current_list(root)  # refuse before waiting
    with alone(root, _stages(root), waits=waits), held(root) as repository:
        work = _begin(root, order, repository)
        if (earlier := _earlier(work)) is not None:
            return earlier
        for step in STEPS:
            step(work)
        assert work.signed is not None
        file = _receipt_file(work)
        proofs = file.with_suffix(".proofs.json")
        return Done(work.signed, file, proofs if proofs.is_file() else None, is_new=True)


def _stages(root: Path) -> list[str]:
    from flows.freshness import lock_entries

    return sorted(lock_entries(root))


def _matches(root: Path, wish: Wish, ledger: "Ledger") -> list[Match]:
    found = find_matches(root, wish)
    return [one if one.is_seen else replace(one, is_seen=is_in_a_set(ledger, one.sample_id)) for one in found]


def _begin(root: Path, order: Order, repository: Held) -> Work:
    ledger = open_ledger(root, to_write=True)
    known, matches = current_list(root), _matches(root, order.wish, ledger)
    file = folder(root) / f"{order.name}.pending.json"
    note: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if note:
        matches = list({one.sample_id: one for one in [*matches, *(Match(**row) for row in note["matches"])]}.values())
        known = replace(known, held=replace(known.held, salt=note["salt"]))
    wanted = Wanted(frozenset(match.sample_id for match in matches))
    found = plan(repository, wanted)
    found = found.joined(note["plan"]) if note else found
    told = takedown.Affected.model_validate(note["affected"]) if note else affected(root, ledger, wanted.ids, found)
    work = Work(root, order, repository, ledger, known, matches, found, told, wanted, note)
    work.note = {
        "matches": [asdict(one) for one in matches],
        "plan": asdict(found),
        "affected": told.model_dump(mode="json"),
        "salt": known.held.salt,
        "started_at": note.get("started_at") or now(),
        "reason": note.get("reason") or order.reason,
        "by": note.get("by") or order.by,
        "policy": note.get("policy") or order.policy,
        "number": note.get("number") or len(_receipts(root, order)) + 1,
    }
    return work


def _earlier(work: Work) -> Done | None:
    """The receipt of an earlier takedown of the same wish, if nothing has come back since and none is under way."""
    if work.noted.is_file() or not work.plan.is_empty:
        return None
    receipts = _receipts(work.root, work.order)
    if not receipts:
        return None
    signed = takedown.read_signed(receipts[-1].read_bytes())
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
    work.ledger.append(_requested(work))


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
    left = plan(work.held, Wanted(work.wanted.ids, work.wanted.images))
    there = [*left.raw, *left.outputs, *left.at_home, *(f"object {name}" for name in left.objects)]
    if there:
        raise TakedownError(f"{there[0]} still holds an image (of {len(there)}); run the same command again")


def sign_receipt(work: Work) -> None:
    """Write the receipt, and beside it proofs of absence for an image that was never seen."""
    file = _receipt_file(work)
    if not file.is_file():
        proofs = _write_proofs(work, file)
        signed = takedown.sign(_receipt(work, proofs), signer(work.root))
        write_durably(file, signed.data.decode())
    work.signed = takedown.read_signed(file.read_bytes())


def record_completion(work: Work) -> None:
    """Have the ledger say that it is done, and keep the receipt; then the note is no longer needed."""
    assert work.signed is not None
    blobs = {f"receipts/{work.signed.digest}": work.signed.data}
    work.ledger.append(_completed(work, work.signed), blobs)
    work.noted.unlink(missing_ok=True)


STEPS: tuple[Callable[[Work], None], ...] = (
    take_note,
    record_request,
    extend_list,
    change_raw,
    drop_outputs,
    drop_objects,
    look_again,
    sign_receipt,
    record_completion,
)


def _receipts(root: Path, order: Order) -> list[Path]:
    """The receipts of earlier takedowns of the same wish, oldest first."""
    found = {file: file.stem.removeprefix(f"{order.name}-") for file in folder(root).glob(f"{order.name}-*.json")}
    return sorted((file for file, number in found.items() if number.isdigit()), key=lambda file: int(found[file]))


def _receipt_file(work: Work) -> Path:
    return folder(work.root) / f"{work.order.name}-{work.note['number']}.json"


def _write_proofs(work: Work, receipt: Path) -> str:
    if work.was_seen or not work.matches:
        return ""
    file = receipt.with_suffix(".proofs.json")
    write_durably(file, absence(work.ledger, work.matches[0].sample_id))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _request(work: Work) -> takedown.Request:
    wish = work.order.wish
    value = work.matches[0].sample_id if wish.method == "file" and work.matches else wish.value
    return takedown.Request(
        method=wish.method, value=work.known.salted(value), near=wish.near,
        reason=work.note["reason"], by=work.note["by"], policy=work.note["policy"],
    )  # fmt: skip


def _decision(work: Work, state: str) -> dict[str, Any]:
    return {
        "state": state,
        "request": _request(work).model_dump(mode="json"),
        "matches": [one.model_dump(mode="json") for one in work.salted()],
        "num_matches": len(work.matches),
        "was_seen": work.was_seen,
        "affected": work.affected.model_dump(mode="json"),
        "models": dict.fromkeys(work.affected.models, work.note["policy"]),
    }


def _requested(work: Work) -> Record:
    at, people = work.note["started_at"], {"asked_by": work.note["by"], "reason": work.note["reason"]}
    return Record(
        kind="takedown", subject="takedown", started_at=at, ended_at=at, people=people,
        decision=_decision(work, "requested"),
    )  # fmt: skip


def _completed(work: Work, signed: takedown.Signed) -> Record:
    receipt = signed.receipt
    return Record(
        kind="takedown", subject="takedown", parents=(receipt.requested,),
        started_at=receipt.started_at, ended_at=receipt.completed_at,
        people={"asked_by": receipt.request.by, "reason": receipt.request.reason},
        samples=Samples(opt_out=receipt.opt_out["sha256"]),
        decision=_decision(work, "completed") | {"receipt": signed.digest, "rewritten": _rewritten(work)},
    )  # fmt: skip


def _rewritten(work: Work) -> dict[str, str]:
    """Digests of the folders that were written anew, as they are now: so that `easel verify` knows why they differ."""
    return {"data": path_digest(work.root / "data")} if work.plan.raw else {}


def _receipt(work: Work, proofs: str) -> takedown.Receipt:
    addresses = [store.address for store in work.held.stores()]
    return takedown.Receipt(
        request=_request(work),
        requested=_requested(work).id,
        was_seen=work.was_seen,
        matches=tuple(work.salted()),
        affected=work.affected,
        opt_out={"path": work.known.path, "sha256": work.note["opt_out"], "pinned_in": PARAMS_FILE},
        deleted=work.plan.deleted(),
        left=unreached(work.root, work.plan, addresses),
        proofs=proofs,
        started_at=work.note["started_at"],
        completed_at=now(),
    )
