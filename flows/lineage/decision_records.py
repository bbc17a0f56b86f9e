"""Records of who made which version champion, and why: `promotion`, `rollback`, `override`.

Each names the record of the export that the version holds, found by the bytes: an export keeps a list of its files'
hashes, whose own SHA-256 is the version's digest and stands in that record's list of files. So neither the registry's
tags nor its database has to be believed.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lineage.canonical import plain
from components.lineage.record import Check, Kind, Record
from components.registry.hashes import HASHES_FILE
from flows import settings
from flows.console import remark
from flows.lineage.record_keeping import open_book
from flows.lineage.stage_records import OBSERVED, now
from flows.lineage.withdrawals import withdrawal_of
from flows.requests import FAMILIES

if TYPE_CHECKING:
    from components.lineage.log import Ledger
    from components.registry.decisions import Decision

REMEDY = "run `easel lineage record` and try again, or promote it all the same with --override"

EVALUATION, MEASURED = "evaluate", ("base", "sft", "dpo", "turbo")
"""The stage whose report the gate judges by, and the roles of the models that it draws with."""

RESULTS = {"promote": "promoted", "rollback": "rolled back", "outside": "moved by hand", "withdraw": "withdrawn"}
"""What a decision of the registry has come to, once it stands there."""


@dataclass(frozen=True)
class Evidence:
    """What the ledger says of a version: the record of its export, why it must not be promoted, remarks for people.

    `withdrawn` says by which takedown it was withdrawn, "" if it was not.
    """

    record: str = ""
    fault: str = ""
    notes: tuple[str, ...] = ()
    withdrawn: str = ""


def evidence(root: Path, name: str, number: int, digest: str) -> Evidence:
    """What the ledger says of version `number` of `name`, whose files have this root digest.

    What must not be promoted is looked for in everything that the files came from, and in the evaluation that the gate
    judges by: its own record, and what it measured with (held-out images, classifier, scorer). A model that it only
    measured beside this one is no reason: neither these files nor their figures came of it.
    """
    what = f"version {number} of {name}"
    try:
        ledger = open_book(root).ledger
        record = export_record(ledger, name, digest)
        if withdrawn := withdrawal_of(ledger, name, number):
            fault = f"{what} was {withdrawn}; --override promotes it all the same"
            return Evidence(record.id if record else "", fault, withdrawn=withdrawn)
        if record is None:
            return Evidence(fault=f"no record in the ledger tells how {what} was made; {REMEDY}")
        history = _stands_on(ledger, record)
    except Exception as error:  # a store may fail in its own ways: a disk, a network, a server
        line = " ".join(str(error).split()) or type(error).__name__
        return Evidence(fault=f"the ledger cannot tell how {what} was made: {line}; {REMEDY}")
    faults = (
        (one.subject, (*one.notes, "its record says that it must not be promoted")[0])
        for one in history
        if not one.is_promotable
    )
    fault = next((f"{subject}: {why}" for subject, why in faults), "")
    observed = [one.subject for one in history if OBSERVED in one.notes]
    notes = [
        f"of {what}, nobody saw these stages run: {', '.join(observed)}; their records were made of what lay there"
    ]
    return Evidence(
        record.id, f"{what} is {fault}; --override promotes it" if fault else "", tuple(notes[: len(observed)])
    )


def _stands_on(ledger: "Ledger", record: Record) -> tuple[Record, ...]:
    """The record and all that it stands on, oldest first, without models that an evaluation only measured."""
    from components.lineage.graph import Graph

    entries, records = zip(*ledger.records(), strict=True)
    graph = Graph(records, [entry.record_id for entry in entries])
    found, next_ones = {record.id}, [record.id]
    while next_ones:
        one = graph.record(next_ones.pop())
        above = set(graph.parents(one.id)) - _only_measured(one) - found
        found |= above
        next_ones += above
    return tuple(graph.record(one) for one in sorted(found, key=graph.index))


def _only_measured(record: Record) -> set[str]:
    """The makers of the models that an evaluation drew with, unless it read something else of theirs too."""
    if record.subject != EVALUATION:
        return set()
    measured = {item.made_by for item in record.inputs if item.role in MEASURED}
    return measured - {item.made_by for item in record.inputs if item.role not in MEASURED}


def export_record(ledger: "Ledger", name: str, digest: str) -> Record | None:
    """The newest record of an export of the registered model `name` whose files have that root digest."""
    path = next((export.as_posix() for one, export in FAMILIES.values() if one == name), "")
    found = None
    for _, record in ledger.records():
        for item in record.outputs:
            if item.path == path and record.kind == "stage":
                listed = ledger.blob(f"folders/{item.sha256}")
                if listed and json.loads(listed).get(HASHES_FILE) == digest:
                    found = record
    return found


def decision_record(name: str, decision: "Decision", result: str, basis: Evidence) -> Record:
    """The record of one decision about the champion of `name`; the same for the same decision, whoever asks again."""
    at = decision.at.removesuffix("Z").removesuffix("+00:00")
    at = f"{at}Z" if "." in at else f"{at}.000Z"
    waived = decision.by if decision.is_override else ""
    persons = {"approved_by": decision.by, "asked_by": decision.asked_by or decision.by}
    return Record(
        kind=_kind(decision, result),
        subject=name,
        parents=(basis.record,) if basis.record else (),
        started_at=at,
        ended_at=at,
        people={**persons, "reason": decision.reason},
        checks=tuple(_check(one, waived) for one in decision.checks),
        decision={
            "number": decision.number,
            "alias": "champion",
            "before": decision.before,
            "version": decision.version,
            "digest": decision.digest,
            "result": result,
            "is_override": decision.is_override,
        },
        notes=(*([basis.fault] if basis.fault else []), *basis.notes),
    )


def keep_decision(root: Path, name: str, decision: "Decision", result: str, basis: Evidence) -> None:
    """Append the record of a decision; where the ledger is away, a remark: the registry keeps the decision anyway."""
    try:
        open_book(root).ledger.append(decision_record(name, decision, result, basis))
    except Exception as error:  # as above
        remark(f"the decision is not in the ledger: {' '.join(str(error).split())}")


def missing_decisions(root: Path) -> Iterator[Record]:
    """Append the decisions that the registry keeps and the ledger does not, oldest first, and give their records."""
    from components.registry.decisions import PromotionError
    from components.registry.promotion import standing

    uri = settings.tracking_uri(root)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return
    ledger = open_book(root).ledger
    kept = {(one.subject, one.decision.get("number"), one.decision.get("result")) for _, one in ledger.records()}
    for name, _ in FAMILIES.values():
        try:
            history = standing(uri, name, now()).history
        except PromotionError:  # nothing is registered under that name
            continue
        for decision in history:
            result = RESULTS[decision.kind]
            if (name, decision.number, result) not in kept:
                basis = evidence(root, name, decision.version or decision.before or 0, decision.digest)
                record = decision_record(name, decision, result, basis)
                ledger.append(record)
                yield record


def _kind(decision: "Decision", result: str) -> Kind:
    if decision.kind in ("rollback", "withdraw"):
        return "rollback"
    return "override" if decision.is_override and result == "promoted" else "promotion"


def _check(check: Mapping[str, Any], waived: str) -> Check:
    verdict: str = check["verdict"]
    passes = verdict == "passes"
    detail = json.dumps(plain({key: check[key] for key in ("value", "champion", "rule", "verdict")}), sort_keys=True)
    metric: str = check["rule"]["metric"]
    return Check(name=metric, is_passed=passes, detail=detail, suite="gate", waived_by="" if passes else waived)
