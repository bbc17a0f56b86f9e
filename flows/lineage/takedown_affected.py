"""What stood on images: records of data sets and runs, models and live aliases; and proofs where nothing did."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from components.lineage.graph import Graph
from components.lineage.manifest import contains, prove
from components.lineage.record import Record, SampleSet
from components.lineage.takedown import Affected
from flows import settings
from flows.freshness import fingerprint, lock_entries
from flows.lineage.takedown_plan import Plan
from flows.requests import FAMILIES

if TYPE_CHECKING:
    from components.lineage.log import Ledger

_TAG = "easel.fingerprint."
_RUN = "drawn"


def affected(root: Path, ledger: "Ledger", ids: Collection[str], plan: Plan) -> Affected:
    """Files, records, models and aliases that any of the images is in, or that stand on a record that it is in."""
    records = [record for _, record in ledger.records()]
    graph = Graph(records)
    direct = [(record, one.role) for record in records for one in record.samples.sets if _holds_any(ledger, one, ids)]
    reached = {record.id: record for record, _ in direct}
    for record, _ in direct:
        reached |= {below.id: below for below in graph.below(record.id)}
    stages = [record for record in reached.values() if record.kind == "stage"]
    marks = {record.fingerprint for record in stages} - {""}
    if plan.raw and not records:  # made before there was a ledger: everything that dvc.lock knows stands on the data
        marks = {fingerprint(entry) for entry in lock_entries(root).values()}
    models = _models(root, marks)
    return Affected(
        shards=tuple(plan.raw),
        records=tuple(sorted(reached)),
        datasets=tuple(sorted({record.id for record, role in direct if role != _RUN})),
        runs=tuple(sorted({run for record, role in direct if role == _RUN for run in _runs(record)})),
        models=tuple(f"{name}:{number}" for name, number, _ in models),
        aliases=tuple(f"{name}:{alias}" for name, _, aliases in models for alias in aliases),
        derived=plan.derived,
    )


def is_in_a_set(ledger: "Ledger", sample_id: str) -> bool:
    """Whether any record's sample set holds the image."""
    return any(_holds_any(ledger, one, [sample_id]) for _, record in ledger.records() for one in record.samples.sets)


def absence(ledger: "Ledger", sample_id: str) -> str:
    """Proofs, as JSON, that the image is in no sample set of any record; every set once."""
    proofs = [
        {"record": record.id, "subject": record.subject, "role": one.role, "root": one.root}
        | {"proof": prove(ledger.sample_set(one.root), sample_id).to_json()}
        for record, one in _distinct_sets(ledger)
    ]
    return json.dumps({"sample": sample_id, "proofs": proofs}, indent=2) + "\n"


def _distinct_sets(ledger: "Ledger") -> Iterator[tuple[Record, SampleSet]]:
    seen = set[tuple[str, str]]()
    for _, record in ledger.records():
        for one in record.samples.sets:
            if (one.role, one.root) not in seen:
                seen.add((one.role, one.root))
                yield record, one


def _holds_any(ledger: "Ledger", one: SampleSet, ids: Collection[str]) -> bool:
    packed = ledger.sample_set(one.root)
    return any(contains(packed, sample_id) for sample_id in ids)


def _runs(record: Record) -> list[str]:
    return [value for key, value in record.systems.items() if key.startswith("mlflow") and value] or [record.id]


def _models(root: Path, marks: Collection[str]) -> list[tuple[str, int, tuple[str, ...]]]:
    """Registered versions that were made by a stage of one of the fingerprints, with their live aliases."""
    uri = settings.tracking_uri(root)
    if not marks or (uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file()):
        return []
    settings.go_quiet()
    from components.registry.versions import versions_of

    return [
        (told.name, told.number, told.aliases)
        for name, _ in FAMILIES.values()
        for told in versions_of(uri, name)
        if any(key.startswith(_TAG) and mark in marks for key, mark in told.tags.items())
    ]
