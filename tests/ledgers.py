"""Small ledgers with planted truths: chains of records like those of the default pipeline, and their sample sets.

    planted = sample_ledger(tmp_path / "ledger")
    planted.ledger.find(planted.ids["export_turbo"])
    planted.samples["drawn_pretrain_1"]   # the ids that reached the weights; also received_ingest, held_out_sample, ...

A second version of the chain (`versions=2`) is trained on fewer images and some new ones, with another learning rate,
an edited module and one more expert; its records are `planted.ids["export_turbo@2"]` and so on. Lettering is rendered
once: `render_text` is fresh in later versions and has no other record.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from components.lineage.record import Check, Consumed, Item, Record, Samples, SampleSet

if TYPE_CHECKING:
    from components.lineage.log import Ledger

NUM_IMAGES, NUM_RENDERED = 60, 8
NUM_TAKEN_OUT, NUM_ADDED = 7, 4
LICENCES = {"CC0-1.0": 40, "CC-BY-4.0": 20}
# Stage: what it reads, what it writes.
STAGES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ingest": (("data",), ("artifacts/images", "artifacts/tables/catalogue.parquet")),
    "filter_images": (
        ("artifacts/images", "artifacts/tables/catalogue.parquet"),
        ("artifacts/tables/verdicts.parquet",),
    ),
    "sample": (
        ("artifacts/tables/catalogue.parquet", "artifacts/tables/verdicts.parquet"),
        ("artifacts/tables/selection.parquet",),
    ),
    "render_text": ((), ("artifacts/rendered/images",)),
    "curate_sft": (
        ("artifacts/tables/selection.parquet", "artifacts/rendered/images"),
        ("artifacts/tables/sft_selection.parquet",),
    ),
    "encode": (
        ("artifacts/images", "artifacts/tables/selection.parquet", "data/autoencoder"),
        ("artifacts/latents",),
    ),
    "pretrain_1": (("artifacts/latents", "data/autoencoder"), ("artifacts/models/pretrain_1",)),
    "sft": (
        ("artifacts/models/pretrain_1", "artifacts/latents", "artifacts/tables/sft_selection.parquet"),
        ("artifacts/models/sft",),
    ),
    "expert_style": (("artifacts/models/sft", "artifacts/latents"), ("artifacts/models/expert_style",)),
    "distill": (("artifacts/models/sft", "artifacts/latents"), ("artifacts/models/turbo",)),
    "evaluate": (("artifacts/models/sft", "artifacts/models/turbo", "artifacts/latents"), ("artifacts/report",)),
    "export": (("artifacts/models/sft", "artifacts/report", "data/autoencoder"), ("artifacts/export",)),
    "export_turbo": (("artifacts/models/turbo", "artifacts/report", "data/autoencoder"), ("artifacts/export_turbo",)),
    "register_turbo": (("artifacts/export_turbo", "artifacts/report"), ("artifacts/registry/turbo_receipt.json",)),
}
ONLY_LATER = frozenset({"expert_style"})
"""Stages that the first version of the chain does not have."""


@dataclass
class Planted:
    """What was planted: the records in log order, their ids by stage (`sft`, `sft@2`), and sample ids by set.

    `sets` has the packed bytes of every sample set by its root, `made` the newest item at every path.
    """

    records: list[Record] = field(default_factory=list[Record])
    ids: dict[str, str] = field(default_factory=dict[str, str])
    samples: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    sets: dict[str, bytes] = field(default_factory=dict[str, bytes])
    made: dict[str, Item] = field(default_factory=dict[str, Item])
    opened: "Ledger | None" = None

    @property
    def ledger(self) -> "Ledger":
        """The ledger that `sample_ledger` filled."""
        assert self.opened is not None, "these records are in no ledger; use sample_ledger"
        return self.opened

    def record(self, name: str) -> Record:
        """The record of a stage, as `ids` names it."""
        return next(record for record in self.records if record.id == self.ids[name])

    def blobs_of(self, record: Record) -> dict[str, bytes]:
        """The blobs to append with a record: its sample sets."""
        return {f"sets/{one.root}": self.sets[one.root] for one in record.samples.sets}


def sample_ledger(folder: Path, *, versions: int = 1, decisions: bool = True) -> Planted:
    """A signed ledger in `folder` with a chain of records for each version; its key lies beside the folder."""
    from components.lineage.keys import make_key
    from components.lineage.log import Ledger
    from components.lineage.store import FolderStore

    planted = sample_records(versions=versions, decisions=decisions)
    planted.opened = Ledger(FolderStore(folder), make_key(folder.parent / f"{folder.name}-key.pem"))
    for record in planted.records:
        planted.opened.append(record, planted.blobs_of(record))
    return planted


def sample_records(*, versions: int = 1, decisions: bool = True) -> Planted:
    """The same records in memory, of no log."""
    planted = Planted()
    for version in range(1, versions + 1):
        _add_chain(planted, version)
        if decisions:
            _add_promotion(planted, version)
    return planted


def sha(text: str) -> str:
    """SHA-256 of a text: a digest that stands for what the text names."""
    return hashlib.sha256(text.encode()).hexdigest()


def pack(ids: Iterable[str]) -> bytes:
    """The 32-byte digests, sorted, once each."""
    return b"".join(bytes.fromhex(one) for one in sorted(set(ids)))


def plain_root(packed: bytes) -> str:
    """RFC 6962's tree hash, by its definition (section 2.1), over every member and its successor, end to end."""
    ends = [bytes(32), *(packed[at : at + 32] for at in range(0, len(packed), 32)), b"\xff" * 32]
    leaves = [one + following for one, following in itertools.pairwise(ends)]

    def tree(part: Sequence[bytes]) -> bytes:
        if len(part) == 1:
            return hashlib.sha256(b"\0" + part[0]).digest()
        left = 1 << (len(part) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + tree(part[:left]) + tree(part[left:])).digest()

    return tree(leaves).hex()


def _images(version: int) -> list[str]:
    """Raw images of a version: later ones lack the first few, and have some of their own."""
    everything = [sha(f"image {number}") for number in range(NUM_IMAGES)]
    if version == 1:
        return everything
    return everything[NUM_TAKEN_OUT:] + [sha(f"image {number} of {version}") for number in range(NUM_ADDED)]


def _plan(version: int) -> dict[str, dict[str, list[str]]]:
    """Sample ids by stage and role, as the stages of one version saw them; in the order received."""
    received = _images(version)
    # The last images of the first version are the ones that something drops, so that both versions share the others.
    bad = {sha(f"image {number}") for number in range(NUM_IMAGES - 12, NUM_IMAGES)}
    undecodable = set(sorted(bad)[:2])
    kept = [one for one in received if one not in undecodable]
    filtered = [one for one in kept if one not in bad]
    held_out, offered = filtered[8:14], filtered[:8] + filtered[14:]
    rendered = [sha(f"rendered {number}") for number in range(NUM_RENDERED)]
    curated = offered[:12] + rendered
    return {
        "ingest": {"received": received, "kept": kept},
        "filter_images": {"kept": filtered},
        "sample": {"offered": offered, "held_out": held_out},
        "render_text": {"generated": rendered},
        "curate_sft": {"offered": curated},
        "encode": {"offered": offered},
        "pretrain_1": {"offered": offered, "drawn": offered[:-3]},
        "sft": {"offered": curated, "drawn": curated[1:]},
        "expert_style": {"offered": offered[:10], "drawn": offered[:10]},
        "distill": {"offered": curated, "drawn": curated[2:]},
        "evaluate": {"held_out": held_out},
    }


def _add_chain(planted: Planted, version: int) -> None:
    end = "" if version == 1 else f"@{version}"
    plan = _plan(version)
    for number, stage in enumerate(one for one in STAGES if version > 1 or one not in ONLY_LATER):
        if stage == "render_text" and version > 1:
            planted.ids[f"{stage}{end}"] = planted.ids[stage]
            continue
        by_role = plan.get(stage, {})
        for role, ids in by_role.items():
            planted.samples[f"{role}_{stage}{end}"] = tuple(ids)
        sets = tuple(_sample_set(planted, role, ids) for role, ids in by_role.items())
        record = _stage_record(stage, version, number, planted.made, sets)
        planted.records.append(record)
        planted.ids[f"{stage}{end}"] = record.id
        planted.made |= {item.path: item.model_copy(update={"made_by": record.id}) for item in record.outputs}


def _sample_set(planted: Planted, role: str, ids: Sequence[str]) -> SampleSet:
    packed = pack(ids)
    root = plain_root(packed)
    planted.sets[root] = packed
    return SampleSet(role=cast(Any, role), root=root, count=len(packed) // 32)


def _stage_record(
    stage: str, version: int, number: int, made: Mapping[str, Item], sets: tuple[SampleSet, ...]
) -> Record:
    reads, writes = STAGES[stage]
    more = ("artifacts/models/expert_style",) if version > 1 and stage == "distill" else ()
    inputs = tuple(made.get(path) or _source(path, version) for path in (*reads, *more))
    size = {path: 1000 * (number + 1) + len(path) for path in writes}
    licences = LICENCES if stage == "ingest" else {}
    outputs = tuple(
        Item(
            role=Path(path).stem, path=path, sha256=sha(f"{path} of version {version}"), size=size[path],
            count=1 if "." in Path(path).name else 3, dvc=f"md5:{sha(path)[:32]}",
            licences=licences if path.endswith("catalogue.parquet") else {},
        )
        for path in writes
    )  # fmt: skip
    is_training = stage in ("pretrain_1", "sft", "expert_style", "distill")
    drawn = next((one.count for one in sets if one.role == "drawn"), 0)
    consumed = (Consumed(manifest=sha(f"{stage} order"), seed=1, batch_size=4, start=0, stop=3 * drawn),)
    minute = 40 * (version - 1) + number
    return Record(
        kind="stage",
        subject=stage,
        fingerprint=sha(f"{stage} made from version {version}"),
        parents=tuple(dict.fromkeys(item.made_by for item in inputs if item.made_by)),
        started_at=f"2026-11-2{version}T20:{minute:02d}:00.000Z",
        ended_at=f"2026-11-2{version}T20:{minute:02d}:{10 + number:02d}.000Z",
        place={"backend": "local", "host": "workshop", "hardware": "2 cores", "world_size": 1},
        people={"asked_by": "ann"},
        code={
            "repository": "https://example.org/easel.git",
            "commit": hashlib.sha1(f"commit {version}".encode()).hexdigest(),
            "is_dirty": False,
            "modules": {f"flows/stages/{stage.rstrip('_1')}.py": sha(f"{stage} module")} | _edited(stage, version),
        },
        environment={"lock": sha("requirements.lock"), "python": "3.11.7", "packages": sha("packages")},
        parameters={"seed": 1, **({"lr": "0.001" if version == 1 else "0.0005"} if is_training else {})},
        inputs=inputs,
        outputs=outputs,
        samples=Samples(
            sets=sets,
            dropped={"too_small": 3, "unsafe": 1} if stage == "filter_images" else {},
            opt_out=sha("opt-out list") if stage == "ingest" else "",
            consumed=consumed if is_training else (),
            derived={"latents": len(sets[0:1]) and sets[0].count} if stage == "encode" else {},
        ),
        checks=(Check(name="alignment", is_passed=True, detail="0.31 ≥ 0.25", suite=sha("gate")),)
        if stage == "evaluate"
        else (),
        measures={"alignment": "0.31" if version == 1 else "0.33", "loss": "0.42"} if stage == "evaluate" else {},
        systems={"mlflow_run": sha(f"run {stage} {version}")[:32], "build": f"20261120-2000{version:02d}"},
    )


def _edited(stage: str, version: int) -> dict[str, str]:
    is_training = stage in ("pretrain_1", "sft", "expert_style", "distill")
    return {"components/training/fit.py": sha(f"fit of version {version}")} if is_training else {}


def _source(path: str, version: int) -> Item:
    """What no record made: raw images, which differ between versions, and the autoencoder, which does not."""
    differs = f" of version {version}" if path == "data" else ""
    licences = LICENCES if path == "data" else {}
    return Item(role=Path(path).name, path=path, sha256=sha(path + differs), size=5000, count=60, licences=licences)


def _add_promotion(planted: Planted, version: int) -> None:
    end = "" if version == 1 else f"@{version}"
    at = f"2026-11-2{version}T21:30:00.000Z"
    record = Record(
        kind="promotion",
        subject="easel-turbo",
        parents=(planted.ids[f"export_turbo{end}"],),
        started_at=at,
        ended_at=at,
        people={"asked_by": "ann", "approved_by": "ben", "reason": "draws what is asked"},
        checks=(Check(name="alignment", is_passed=True, detail="not worse than the champion"),),
        decision={"alias": "champion", "version": version, "before": version - 1 or None, "result": "promoted"},
    )
    planted.records.append(record)
    planted.ids[f"promotion{end}"] = record.id


def hostile_record(text: str, parents: Sequence[str] = ()) -> Record:
    """A record whose every text is `text`: for pages and terminals that are to show it and not to obey it."""
    return Record(
        kind="stage",
        subject=text,
        parents=tuple(parents),
        started_at="2026-11-21T20:00:00.000Z",
        ended_at="2026-11-21T20:00:01.000Z",
        people={text: text},
        code={text: text, "commit": text, "modules": {text: text}},
        parameters={text: {text: text}},
        outputs=(Item(role=text, path=text, sha256=sha(text), size=1, licences={text: 1}),),
        samples=Samples(dropped={text: 1}, derived={text: 1}),
        checks=(Check(name=text, is_passed=False, detail=text, waived_by=text),),
        measures={text: text},
        systems={text: text},
        notes=(text,),
        is_promotable=False,
    )


def many_records(count: int, width: int = 4) -> Iterator[Record]:
    """A wide chain of so many records, of which each stands on the same place of the row before and the one beside."""
    previous: list[Record] = []
    row: list[Record] = []
    for number in range(count):
        at = f"2026-11-21T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
        parents = {one.id for one in previous[len(row) : len(row) + 2]}
        out = Item(role="made", path=f"artifacts/part_{number}", sha256=sha(f"part {number}"), size=number)
        record = Record(
            kind="stage", subject=f"stage_{number}", parents=tuple(sorted(parents)), started_at=at, ended_at=at,
            outputs=(out,),
        )  # fmt: skip
        row.append(record)
        if len(row) == width:
            previous, row = row, []
        yield record
