"""Which samples a stage saw, for its record: read off the tables that it read and wrote, by their roles.

A sample is known by the SHA-256 of its image's bytes as they were received (of one that we drew, as it was written).
Stages say nothing of it; the tables that they leave for others say it: catalogue, quarantine, verdicts, selections.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lineage.record import Consumed, Samples, SampleSet
from flows.declaration import Stage

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.lineage.drawn import Drawn

Sets = Mapping[str, Iterable[str]]
CATALOGUES = ("artifacts/tables/catalogue.parquet", "artifacts/tables/rendered_catalogue.parquet")
DERIVED = {
    "captions": "captions",
    "ocr": "texts read",
    "scores": "scores",
    "categories": "categories",
    "sft_prompts": "prompts",
    "latents": "latents",
    "pairs": "pairs",
    "pair_latents": "pair latents",
    "candidates": "candidates",
}
"""What a stage's output in that role holds one of in each row."""
FOLDER_TABLES = ("rows.parquet", "sample_ids.parquet")


@dataclass(frozen=True)
class SeenSamples:
    """What a record says of samples, the packed sets that it names (by their place in the ledger), and remarks."""

    samples: Samples
    blobs: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


def seen_samples(
    root: Path, stage: Stage, params: Mapping[str, Any], opt_out: str = "", left: "Drawn | None" = None
) -> SeenSamples:
    """The samples that `stage` saw, as its inputs and outputs lie at `root`.

    `params` are those that it was made with, `opt_out` is the digest of the opt-out list that the data were filtered
    with, `left` is what the stage's own process said that it drew.
    """
    outputs = {role: root / path for role, path in stage.outputs.items()}
    sets = _sets(root, stage, outputs, params)
    trained, notes = _drawn(root, stage, left)
    sets = {**sets, **trained.pop("sets", {})}
    named, blobs = list[SampleSet](), dict[str, bytes]()
    for role, ids in sets.items():
        one, packed = pack_set(role, ids)
        named.append(one)
        blobs[f"sets/{one.root}"] = packed
    found = Samples(
        sets=tuple(named),
        dropped=_dropped(outputs),
        opt_out=opt_out if named else "",
        consumed=trained.get("consumed", ()),
        derived=_derived(outputs),
    )
    return SeenSamples(found, blobs, notes)


def pack_set(role: Any, ids: Iterable[str]) -> tuple[SampleSet, bytes]:
    """A set of samples as a record names it, and its members as the ledger keeps them."""
    from components.lineage.manifest import WIDTH, pack, root_of

    packed = pack(ids)
    return SampleSet(role=role, root=root_of(packed), count=len(packed) // WIDTH), packed


@lru_cache(maxsize=256)
def licences(root: Path, path: str, sha256: str) -> Mapping[str, int]:
    """Images by licence, where the file or folder at `path` is a table of samples; `sha256` says of which bytes.

    Raw parts and catalogues say it themselves; of other tables the catalogues in the workspace do.
    """
    del sha256  # only distinguishes
    tables = _sample_tables(root / path)
    if all("licence" in _schema_names(table) for table in tables):
        rows = [_read(table, "licence").column("licence").to_pylist() for table in tables]
        return Counter(one or "unknown" for part in rows for one in part)
    licence = dict[str, str]()
    for file in (root / name for name in CATALOGUES if (root / name).is_file()):
        known = _read(file, "sample_id", "licence")
        licence |= zip(known.column("sample_id").to_pylist(), known.column("licence").to_pylist(), strict=True)
    ids = {one for table in tables for one in _unique_ids(table)}
    return Counter(licence[one] or "unknown" for one in ids if one in licence)


def _sets(root: Path, stage: Stage, outputs: Mapping[str, Path], params: Mapping[str, Any]) -> Sets:
    if {"catalogue", "quarantine"} <= outputs.keys():
        kept = _unique_ids(outputs["catalogue"])
        raw = root / next(iter(stage.inputs.values())).path
        refused = refused_ids(raw, params.get("pools", ()), outputs["quarantine"])
        return {"received": [*kept, *refused], "kept": kept}
    for role, read in _READERS.items():
        if role in outputs:
            return dict(read(outputs[role]))
    return {}


def _kept(verdicts: Path) -> Sets:
    table = _read(verdicts, "sample_id", "kept")
    return {"kept": table.filter(table.column("kept")).column("sample_id").to_pylist()}


def _split(table: Path) -> Sets:
    """What may be trained on, and what never is; a table without a column `split` holds nothing back."""
    file = _table_of(table) or table
    if "split" not in _schema_names(file):
        return {"offered": _unique_ids(file)}
    rows = _read(file, "sample_id", "split")
    pairs = list(zip(rows.column("sample_id").to_pylist(), rows.column("split").to_pylist(), strict=True))
    offered = {name for name, split in pairs if split == "train"}
    return {"offered": offered, "held_out": {name for name, _ in pairs} - offered}


def _generated(table: Path) -> Sets:
    return {"generated": _unique_ids(table)}


def _candidates(table: Path) -> Sets:
    """Images that a model of ours drew, and those that came along in a file."""
    rows = _read(table, "sample_id", "model")
    pairs = list(zip(rows.column("sample_id").to_pylist(), rows.column("model").to_pylist(), strict=True))
    brought = {name for name, model in pairs if not model}
    return {"generated": {name for name, _ in pairs} - brought} | ({"received": brought} if brought else {})


_READERS: Mapping[str, Callable[[Path], Sets]] = {
    "verdicts": _kept,
    "selection": _split,
    "sft_selection": _split,
    "rendered": _generated,
    "candidates": _candidates,
    "latents": _split,
}
"""By the role of an output that names samples: which sets it tells of. The first role that a stage has decides."""


def refused_ids(raw: Path, pools: Iterable[str], quarantine: Path) -> set[str]:
    """Ids of the raw images that were refused; a repeat has the id of what it repeats, and is left out."""
    import pyarrow.parquet as pq

    rows = _read(quarantine, "part", "row", "source_id", "reason").to_pylist()
    wanted = dict[str, list[tuple[int, str]]]()
    for row in rows:
        if row["reason"] != "repeated_bytes":
            wanted.setdefault(row["part"], []).append((row["row"], row["source_id"]))
    found = set[str]()
    for part, places in wanted.items():
        for file in (raw / pool / part for pool in pools):
            if file.is_file():
                table = pq.read_table(file, columns=["image", "source_id"])
                for row, source_id in places:
                    if row < table.num_rows and str(table.column("source_id")[row].as_py()) == source_id:
                        found.add(hashlib.sha256(table.column("image")[row].as_py() or b"").hexdigest())
    return found


def _drawn(root: Path, stage: Stage, left: "Drawn | None") -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a training drew, by its own word; a remark where that cannot be told."""
    from flows.lineage.drawn import drawn_samples

    try:
        drawn = left or drawn_samples(root, stage.name)
    except (ValueError, OSError, KeyError) as error:
        return {}, (f"which samples were drawn is not known: {' '.join(str(error).split())}",)
    if drawn is None:
        return {}, ()
    sets = {"offered": drawn.offered, "drawn": drawn.drawn, "held_out": drawn.held_out}
    consumed = tuple(
        Consumed(
            manifest=str(one["manifest_hash"]),
            seed=int(one["seed"]),
            batch_size=int(one["batch_size"]),
            start=int(one["start"]),
            stop=int(one["stop"]),
        )
        for one in drawn.consumed
    )
    inexact = "all that was offered counts as drawn: the order of this training does not tell samples apart"
    return {"sets": sets, "consumed": consumed}, () if drawn.is_exact else (inexact,)


def _dropped(outputs: Mapping[str, Path]) -> dict[str, int]:
    """How many samples were dropped, by reason: refused by landing, by ingest, by filters."""
    found = Counter[str]()
    if "quarantine" in outputs:
        found.update(_read(outputs["quarantine"], "reason").column("reason").to_pylist())
    if "refusals" in outputs:
        reasons = _read(outputs["refusals"], "reason").column("reason").to_pylist()
        found.update(f"landing: {reason}" for reason in reasons)
    if "verdicts" in outputs:
        found.update(filter(None, _read(outputs["verdicts"], "reason").column("reason").to_pylist()))
    return dict(sorted(found.items()))


def _derived(outputs: Mapping[str, Path]) -> dict[str, int]:
    """How many things of each kind were made of the samples."""
    found = dict[str, int]()
    for role, path in outputs.items():
        kind = "wishes" if path.stem == "wishes" else DERIVED.get(role, "")
        if kind and (rows := _num_rows(path)) is not None:
            found[kind] = rows
    return found


def _table_of(path: Path) -> Path | None:
    """The table of samples that `path` is, or that the folder holds; None where it is none."""
    candidates = [path] if path.suffix == ".parquet" else [path / name for name in FOLDER_TABLES]
    there = (file for file in candidates if file.is_file())
    return next((file for file in there if "sample_id" in _schema_names(file)), None)


def _sample_tables(path: Path) -> list[Path]:
    """The tables below `path` that hold a sample, or a raw image, in each row."""
    if table := _table_of(path):
        return [table]
    parts = sorted(path.rglob("part-*.parquet")) if path.is_dir() else []
    return [file for file in parts if {"sample_id", "licence"} & set(_schema_names(file))]


def _schema_names(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_schema(file).names


def _read(file: Path, *columns: str) -> "pa.Table":
    import pyarrow.parquet as pq

    return pq.read_table(file, columns=list(columns))


def _unique_ids(file: Path) -> list[str]:
    return _read(file, "sample_id").column("sample_id").unique().to_pylist()


def _num_rows(path: Path) -> int | None:
    import pyarrow.parquet as pq

    file = path if path.suffix == ".parquet" else path / FOLDER_TABLES[0]
    return pq.read_metadata(file).num_rows if file.is_file() else None
