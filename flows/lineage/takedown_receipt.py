"""What a takedown leaves in writing: two records in the ledger, a signed receipt, and proofs about what nobody saw."""

import hashlib
from typing import Any

from components.lineage import takedown
from components.lineage.folder_digests import path_digest
from components.lineage.record import Record, Samples
from flows.lineage.ledger import signer
from flows.lineage.stage_records import now
from flows.lineage.takedown_affected import absence
from flows.lineage.takedown_deletion import unreached
from flows.lineage.takedown_withdrawal import policies
from flows.lineage.takedown_work import Work
from flows.parameters import PARAMS_FILE
from flows.reports import write_durably


def requested(work: Work) -> Record:
    """The record of what was asked, written before anything is deleted."""
    at, people = work.note["started_at"], {"asked_by": work.note["by"], "reason": work.note["reason"]}
    return Record(
        kind="takedown", subject="takedown", started_at=at, ended_at=at, people=people,
        decision=_decision(work, "requested"),
    )  # fmt: skip


def completed(work: Work, signed: takedown.Signed) -> Record:
    """The record of what was done."""
    receipt = signed.receipt
    return Record(
        kind="takedown", subject="takedown", parents=(receipt.requested,),
        started_at=receipt.started_at, ended_at=receipt.completed_at,
        people={"asked_by": receipt.request.by, "reason": receipt.request.reason},
        samples=Samples(opt_out=receipt.opt_out["sha256"]),
        decision=_decision(work, "completed")
        | {"receipt": signed.digest, "rewritten": _rewritten(work), "withdrawn": list(receipt.withdrawn)},
    )  # fmt: skip


def write_receipt(work: Work) -> takedown.Signed:
    """The signed receipt, written unless an earlier call, killed, had; proofs of absence lie beside it."""
    file = work.receipt_file
    if not file.is_file():
        proofs = _write_proofs(work)
        signed = takedown.sign(_receipt(work, proofs), signer(work.root))
        write_durably(file, signed.data.decode())
    return takedown.read_signed(file.read_bytes())


def _write_proofs(work: Work) -> str:
    if work.was_seen or not work.matches:
        return ""
    file = work.receipt_file.with_suffix(".proofs.json")
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
        "models": policies(work),
    }


def _rewritten(work: Work) -> dict[str, str]:
    """Digests of the folders that were written anew, as they are now: so that `easel verify` knows why they differ."""
    return {"data": path_digest(work.root / "data")} if work.plan.raw else {}


def _receipt(work: Work, proofs: str) -> takedown.Receipt:
    return takedown.Receipt(
        request=_request(work),
        requested=requested(work).id,
        was_seen=work.was_seen,
        matches=tuple(work.salted()),
        affected=work.affected,
        opt_out={"path": work.known.path, "sha256": work.note["opt_out"], "pinned_in": PARAMS_FILE},
        deleted=work.plan.deleted(),
        left=unreached(work.root, work.plan, work.held.stores()),
        proofs=proofs,
        withdrawn=tuple(work.note["withdrawn"]),
        started_at=work.note["started_at"],
        completed_at=now(),
    )
