"""A small workspace whose every file is recorded, from raw images to a signed export: for tests of verification.

place = signed_workspace(tmp_path)
place.folder, place.signature, place.ledger, place.records["export_turbo"]
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from components.lineage.canonical import canonical
from components.lineage.chain import binding
from components.lineage.folder_digests import folder_digests, path_digest
from components.lineage.graph import Graph
from components.lineage.keys import Signer, make_key
from components.lineage.log import Ledger
from components.lineage.manifest import pack, root_of
from components.lineage.model_signature import sign_model, signature_file
from components.lineage.record import Item, Record, Samples, SampleSet
from components.lineage.store import FolderStore

NUM_IMAGES = 24
AT = "2026-11-21T20:00:00.000Z"
# Stage: what it reads, by role; what it writes, by role.
STAGES: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "ingest": (
        {"raw": "data"},
        {"images": "artifacts/images", "catalogue": "artifacts/tables/catalogue.parquet"},
    ),
    "filter_images": (
        {"images": "artifacts/images", "catalogue": "artifacts/tables/catalogue.parquet"},
        {"verdicts": "artifacts/tables/verdicts.parquet"},
    ),
    "render_text": ({}, {"images": "artifacts/rendered/images"}),
    "encode": (
        {"images": "artifacts/images", "verdicts": "artifacts/tables/verdicts.parquet"},
        {"latents": "artifacts/latents"},
    ),
    "distill": (
        {"latents": "artifacts/latents", "rendered": "artifacts/rendered/images", "autoencoder": "data/autoencoder"},
        {"model": "artifacts/models/turbo"},
    ),
    "evaluate": ({"model": "artifacts/models/turbo"}, {"report": "artifacts/report"}),
    "export_turbo": (
        {"model": "artifacts/models/turbo", "report": "artifacts/report"},
        {"pipeline": "artifacts/export_turbo"},
    ),
}


@dataclass
class SignedWorkspace:
    """Where everything lies, and the images by role."""

    root: Path
    ledger: Ledger
    signer: Signer
    key_file: Path
    images: dict[str, bytes]
    records: dict[str, Record] = field(default_factory=dict[str, Record])

    @property
    def folder(self) -> Path:
        """The model."""
        return self.root / "artifacts/export_turbo"

    @property
    def signature(self) -> Path:
        """Its signature."""
        return signature_file(self.folder)

    def sign(self, bound: Mapping[str, Any] | None = None) -> None:
        """Sign the model as it lies there, for its newest record."""
        graph = Graph([record for _, record in self.ledger.records()])
        bound = binding(graph, self.records["export_turbo"]) if bound is None else bound
        self.signature.write_bytes(sign_model(self.folder, self.signer, bound))

    def keep(self, record: Record, sets: Iterable[bytes] = (), folders: Iterable[Mapping[str, str]] = ()) -> Record:
        """Append a record with its sets and folder lists."""
        lists = [canonical(dict(one)) for one in folders]
        blobs = {f"sets/{root_of(one)}": one for one in sets}
        self.ledger.append(record, blobs | {f"folders/{hashlib.sha256(one).hexdigest()}": one for one in lists})
        self.records[record.subject] = record
        return record


def signed_workspace(root: Path, sets: Mapping[str, Mapping[str, Iterable[str]]] | None = None) -> SignedWorkspace:
    """The workspace at `root / "workspace"`; the ledger lies in `.easel/ledger`, the key beside the workspace.

    Args:
        sets: sample ids by stage and role, instead of the planted ones of that stage.
    """
    home = root / "workspace"
    key = root / "key.pem"
    signer = make_key(key)
    rng, images = np.random.default_rng(8), planted_images()
    place = SignedWorkspace(home, Ledger(FolderStore(home / ".easel/ledger"), signer), signer, key, images)
    write_images(home / "data/images/part-00000.parquet", images, "image")
    for name in ("config.json", "model.safetensors"):
        _write(home / "data/autoencoder" / name, rng.bytes(80))
    (home / ".easel").mkdir(parents=True, exist_ok=True)
    planted = planted_sets(images) | dict(sets or {})
    for stage in STAGES:
        _run(place, stage, planted.get(stage, {}), rng)
    place.sign()
    return place


def planted_images() -> dict[str, bytes]:
    """The source images, by id: bytes that no decoder is asked to read."""
    rng = np.random.default_rng(7)
    return {hashlib.sha256(data).hexdigest(): data for data in (rng.bytes(60) for _ in range(NUM_IMAGES))}


def planted_sets(images: Mapping[str, bytes]) -> dict[str, dict[str, list[str]]]:
    """Sample ids by stage and role."""
    ids = list(images)
    rendered = [hashlib.sha256(b"rendered %d" % number).hexdigest() for number in range(4)]
    return {
        "ingest": {"received": ids, "kept": ids[1:]},
        "filter_images": {"kept": ids[4:]},
        "render_text": {"generated": rendered},
        "encode": {"offered": ids[6:], "held_out": ids[4:6]},
        "distill": {"offered": ids[6:] + rendered, "drawn": ids[8:] + rendered[:2], "held_out": ids[4:6]},
    }


def write_images(file: Path, images: Mapping[str, bytes], column: str) -> None:
    """A shard: ids and bytes, as `ingest` writes them and reads them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"sample_id": list(images), column: list(images.values())}), file)


def item(root: Path, role: str, path: str, made_by: str = "") -> Item:
    """What lies at `path` now."""
    place = root / path
    files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
    size = sum(one.stat().st_size for one in files)
    return Item(role=role, path=path, sha256=path_digest(place), size=size, count=len(files), made_by=made_by)


def _run(place: SignedWorkspace, stage: str, sets: Mapping[str, Iterable[str]], rng: Any) -> None:
    reads, writes = STAGES[stage]
    makers = {one.path: record.id for record in place.records.values() for one in record.outputs}
    inputs = [item(place.root, role, path, makers.get(path, "")) for role, path in reads.items()]
    for role, path in writes.items():
        if stage == "ingest" and role == "images":
            kept = set(sets["kept"])
            shard = {one: data for one, data in place.images.items() if one in kept}
            write_images(place.root / path / "part-00000.parquet", shard, "bytes")
        elif "." in Path(path).name:
            _write(place.root / path, rng.bytes(70))
        elif stage == "export_turbo":
            _write(place.root / path / "model_index.json", b'{"_class_name": "Turbo"}')
            _write(place.root / path / "transformer/model.safetensors", rng.bytes(150))
        elif stage == "render_text":
            rendered = {hashlib.sha256(b"rendered %d" % one).hexdigest(): b"rendered %d" % one for one in range(4)}
            write_images(place.root / path / "part-00000.parquet", rendered, "bytes")
        else:
            _write(place.root / path / "a.bin", rng.bytes(60))
            _write(place.root / path / "below/b.bin", rng.bytes(60))
    packed = {role: pack(ids) for role, ids in sets.items()}
    named = [SampleSet(role=cast(Any, r), root=root_of(one), count=len(one) // 32) for r, one in packed.items()]
    outputs = [item(place.root, role, path) for role, path in writes.items()]
    record = Record(
        kind="stage",
        subject=stage,
        fingerprint=hashlib.sha256(stage.encode()).hexdigest(),
        parents=tuple(dict.fromkeys(one.made_by for one in inputs if one.made_by)),
        started_at=AT,
        ended_at=AT,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        samples=Samples(sets=tuple(named)),
    )
    folders = [place.root / path for path in (*writes.values(), *reads.values()) if (place.root / path).is_dir()]
    place.keep(record, packed.values(), [folder_digests(one) for one in folders])


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
