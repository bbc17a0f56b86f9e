"""The record of a stage's run: built after DVC's commit, at the rim, from what DVC, git, the system and the tables say.

Stages know nothing of it. A record names everything by SHA-256, takes its times from the report that the stage left,
and so is the same whenever it is built again from the same run.

What was *observed*, and not seen being made (it came out of a cache that others share, or was made before there was a
ledger), gets a record too, which says so in its notes: it proves what lies there, and out of what DVC says that it was
made, but not who made it, when and where; those fields are left empty. It can be promoted as long as its code is the
committed one, since a team that shares a cache could promote nothing otherwise; `easel promote` shows the note.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lineage.canonical import canonical, decimal, plain
from components.lineage.record import Check, Item, Record
from components.lineage.times import stamp
from flows import freshness, settings
from flows.declaration import Artifact, Stage
from flows.lineage.file_digests import Content, FileDigests
from flows.lineage.known_records import Known, KnownRecords
from flows.lineage.run_facts import code_facts, environment_facts, login, package_list, people_facts, place_facts
from flows.lineage.sample_sets import licences, seen_samples
from flows.parameters import PARAMS_FILE
from flows.reports import Report

if TYPE_CHECKING:
    from flows.lineage.drawn import Drawn

OBSERVED = "observed, not seen being made: by whom, when and where is not known"
LATER = "recorded after its build had ended: the commit is that of the recording, the code is the code that DVC saw"
QUALITY_DIR = "artifacts/quality/"
MAX_LISTED = 10_000
"""Folders of more files are recorded by their digest alone."""


@dataclass(frozen=True)
class Circumstances:
    """Where and for whom a stage ran, as its executor knows it.

    `report` is what the stage's process left; None where nobody saw it run. `is_late`: recorded after the build.
    """

    profile: str = ""
    executor: str = ""
    build: str = ""
    variables: Mapping[str, str] | None = None
    report: Report | None = None
    is_late: bool = False


def stage_record(
    root: Path, stage: Stage, entry: Mapping[str, Any], known: KnownRecords, seen: Circumstances
) -> tuple[Record, dict[str, bytes]]:
    """The record of what `entry` of dvc.lock says of `stage`, and what the ledger is to keep beside it.

    Raises:
        ValueError: a file that the entry names is not there, or changed while it was read.
    """
    digests = FileDigests(root)
    hashes = {part["path"]: _dvc_hash(part) for part in (*entry.get("deps", ()), *entry.get("outs", ()))}
    inputs = tuple(_input(root, digests, known, role, artifact, hashes) for role, artifact in stage.inputs.items())
    outputs = tuple(_output(root, digests, role, path, hashes) for role, path in _outputs(stage).items())
    digests.save()
    if freshness.lock_entries(root).get(stage.name) != entry:
        raise ValueError(f"{stage.name}: another build changed it meanwhile; run `easel lineage record` after that")
    read = {artifact.path for artifact in stage.inputs.values()}
    modules = {d["path"]: d["md5"] for d in entry.get("deps", ()) if d["path"] not in read and "nfiles" not in d}
    code = code_facts(root, entry["cmd"], modules)
    parameters: dict[str, Any] = plain(entry.get("params", {}).get(PARAMS_FILE, {}).get(stage.name) or {})
    samples = seen_samples(root, stage, parameters, _opt_out(root), _left(root, stage, inputs, seen))
    fingerprint = freshness.fingerprint(entry)
    faults = _faults(code.facts["is_dirty"], code.edited, known, inputs)
    remarks = [OBSERVED] if seen.report is None else [LATER] if seen.is_late else []
    remarks += _other_bytes(known.of(fingerprint), outputs)
    record = Record(
        kind="stage",
        subject=stage.name,
        fingerprint=fingerprint,
        attempt=len(known.of(fingerprint)) + 1,
        parents=tuple(dict.fromkeys(item.made_by for item in inputs if item.made_by)),
        **_circumstances(root, seen),
        code=code.facts,
        parameters=parameters,
        inputs=inputs,
        outputs=outputs,
        samples=samples.samples,
        checks=tuple(_checks(root, stage)),
        measures={name: decimal(value) for name, value in _metrics(root, stage, seen.report).items()},
        is_promotable=not faults,
        notes=(*faults, *remarks, *samples.notes),
    )
    blobs = {**samples.blobs, **_folder_lists(digests, stage)}
    if code.patch:
        blobs[f"patches/{code.facts['patch']}"] = code.patch
    if "packages" in record.environment:
        blobs[f"packages/{record.environment['packages']}"] = package_list()
    return record, blobs


def output_contents(root: Path, stage: Stage, entry: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """SHA-256 and DVC's hash of every output of `stage`, as it lies there now."""
    digests, dvc = FileDigests(root), freshness.output_hashes(entry)
    found = {path: (digests.of(path).sha256, dvc.get(path, "")) for path in _outputs(stage).values()}
    digests.save()
    return found


def iso(seconds: float) -> str:
    """A time since 1970 as records write it: UTC, ISO 8601, milliseconds."""
    return stamp(datetime.fromtimestamp(seconds, UTC))


def now() -> str:
    """The time now, as records write it."""
    return iso(datetime.now(UTC).timestamp())


def _circumstances(root: Path, seen: Circumstances) -> dict[str, Any]:
    """Times, place, people, environment, and the ids in other systems."""
    if seen.report is None:
        at = now()
        return {"started_at": at, "ended_at": at, "people": {"observed_by": login()}}
    report, systems = seen.report, {"mlflow_run": seen.report.mlflow_run_id, "build": seen.build, **prefect_ids()}
    known = {
        "started_at": iso(report.started_at),
        "ended_at": iso(report.started_at + report.seconds),
        "people": people_facts(),
        "environment": environment_facts(root),
        "systems": {name: value for name, value in systems.items() if value},
    }
    if seen.profile:
        known["place"] = place_facts(root, seen.profile, seen.executor, dict(seen.variables or {}))
        known["place"]["seconds"] = decimal(round(report.seconds, 3))
        known["place"]["gpu_seconds"] = decimal(round(report.seconds * _num_gpus_used(known["place"]), 3))
        if report.energy_j and known["place"]["execution"]["num_nodes"] == 1:  # else one machine's share of the whole
            known["place"]["energy_j"] = {kind: decimal(round(used, 1)) for kind, used in report.energy_j.items()}
    return known


def prefect_ids() -> dict[str, str]:
    """The flow run and task run that this code runs in; nothing where Prefect was not imported."""
    context: Any = sys.modules.get("prefect.context")
    task = context.TaskRunContext.get() if context else None
    if task is None:
        return {}
    return {"prefect_task_run": str(task.task_run.id), "prefect_flow_run": str(task.task_run.flow_run_id or "")}


def _num_gpus_used(place: Mapping[str, Any]) -> int:
    return place["world_size"] if place["execution"]["accelerator"] == "cuda" else 0


def _input(
    root: Path, digests: FileDigests, known: KnownRecords, role: str, artifact: Artifact, hashes: Mapping[str, str]
) -> Item:
    content = digests.of(artifact.path)
    maker = known.maker(artifact.path, content.sha256) if artifact.made_by else None
    return _item(root, role, artifact.path, content, hashes, maker.id if maker else "")


def _output(root: Path, digests: FileDigests, role: str, path: str, hashes: Mapping[str, str]) -> Item:
    return _item(root, role, path, digests.of(path), hashes, "")


def _folder_lists(digests: FileDigests, stage: Stage) -> dict[str, bytes]:
    """The files of each folder that the stage wrote, or read as a source: so a check can name the file that differs."""
    sources = [artifact.path for artifact in stage.inputs.values() if not artifact.made_by]
    found = [digests.of(path) for path in (*_outputs(stage).values(), *sources)]
    listed = [one for one in found if 0 < len(one.files) <= MAX_LISTED]
    return {f"folders/{one.sha256}": canonical(dict(one.files)) for one in listed}


def _item(root: Path, role: str, path: str, content: Content, hashes: Mapping[str, str], made_by: str) -> Item:
    return Item(
        role=role,
        path=path,
        sha256=content.sha256,
        size=content.size,
        count=content.count,
        dvc=hashes.get(path, ""),
        made_by=made_by,
        licences=dict(licences(root, path, content.sha256)),
    )


def _outputs(stage: Stage) -> dict[str, str]:
    return {**stage.outputs, "metrics": stage.metrics_path}


def _dvc_hash(part: Mapping[str, Any]) -> str:
    return f"{part.get('hash', 'md5')}:{part['md5']}"


def _faults(is_dirty: bool, edited: tuple[str, ...], known: KnownRecords, inputs: tuple[Item, ...]) -> list[str]:
    """Why what was made must not be promoted."""
    found = list[str]()
    if is_dirty:
        found.append("not promotable: the code differs from the commit; the patch is kept")
    if edited:
        found.append(f"not promotable: {edited[0]} is not the file that DVC saw; it was edited since the stage ran")
    for item in inputs:
        if not item.made_by and item.path.startswith("artifacts/") and known.under_dvc_hash(item.path, item.dvc):
            found.append(f"not promotable: {item.path} has other bytes than the record names that made it")
    return found


def _other_bytes(earlier: Sequence[Known], outputs: Iterable[Item]) -> list[str]:
    """Where earlier runs of the very same made something else: it is said, so that nobody takes one for the other."""
    for one in reversed(earlier):
        for item in outputs:
            if one.outputs.get(item.path, (item.sha256,))[0] != item.sha256:
                return [f"the same inputs, code and parameters gave other bytes of {item.path} in record {one.id[:16]}"]
    return []


def _left(root: Path, stage: Stage, inputs: Iterable[Item], seen: Circumstances) -> "Drawn | None":
    """What the stage's own process left of the samples that it drew."""
    if seen.report is None or not seen.build:
        return None
    from flows.lineage.drawn_left import left_drawn

    read = {item.role: item.sha256 for item in inputs}
    return left_drawn(stage.name, settings.home(root) / "runs" / seen.build, seen.report.mlflow_run_id, read)


def _opt_out(root: Path) -> str:
    """Digest of the opt-out list that the data at `root` were filtered with; "" without one."""
    filtered = freshness.lock_entries(root).get("filter_images", {})
    told = filtered.get("params", {}).get(PARAMS_FILE, {}).get("filter_images") or {}
    return (told.get("opt_out") or {}).get("sha256", "")


def _metrics(root: Path, stage: Stage, report: Report | None) -> Mapping[str, float]:
    if report is not None:
        return report.metrics
    file = root / stage.metrics_path
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _checks(root: Path, stage: Stage) -> list[Check]:
    """What Great Expectations was asked by this stage: a receipt is written only when all of it held."""
    found = list[Check]()
    for path in stage.outputs.values():
        if path.startswith(QUALITY_DIR) and path.endswith(".json"):
            receipt = json.loads((root / path).read_text(encoding="utf-8"))
            for suite, asked in receipt.get("suites", {}).items():
                for one in asked:
                    detail = f"{one['observed']}; allowed: {one['allowed']}"
                    passed = receipt["verdict"] == "passed"
                    found.append(Check(name=one["expectation"], is_passed=passed, detail=detail, suite=suite))
    return found


def sha256_of(file: Path) -> str:
    """SHA-256 of a small file; "" where it is not there."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
