"""Sets of samples read off tables that are written here, with raw images whose SHA-256 is known."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from components.lineage.manifest import contains
from flows.declaration import Artifact, Stage
from flows.lineage.sample_sets import SeenSamples, licences, seen_samples

IMAGES = [f"image {number}".encode() for number in range(6)]
IDS = [hashlib.sha256(image).hexdigest() for image in IMAGES]


class Params(BaseModel, frozen=True):
    """None."""


@dataclass(frozen=True)
class Metrics:
    """None."""


def ingest(p: Params, *, raw: Path, images: Path, catalogue: Path, quarantine: Path, refusals: Path) -> Metrics:
    """Take in."""
    raise NotImplementedError


def sample(p: Params, *, raw: Path, selection: Path) -> Metrics:
    """Choose."""
    raise NotImplementedError


def filter_images(p: Params, *, raw: Path, verdicts: Path) -> Metrics:
    """Judge."""
    raise NotImplementedError


def preferences(p: Params, *, raw: Path, pairs: Path, candidates: Path) -> Metrics:
    """Draw."""
    raise NotImplementedError


def write(file: Path, **columns: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


def declared(function: object, **outputs: str) -> Stage:
    return Stage(function, {"raw": Artifact("data")}, outputs)  # pyright: ignore[reportArgumentType]


@pytest.fixture(autouse=True)
def _trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """These stages are not the pipeline's; none of them trains."""
    monkeypatch.setattr("flows.lineage.drawn.drawn_samples", lambda *_: None)


def members(seen: SeenSamples) -> dict[str, set[str]]:
    return {
        one.role: {name for name in IDS if contains(seen.blobs[f"sets/{one.root}"], name)} for one in seen.samples.sets
    }


def test_ingest_received_what_it_refused_too(tmp_path: Path) -> None:
    names = [f"s/{number}" for number in range(6)]
    write(tmp_path / "data/pool/part-0.parquet", image=IMAGES, source_id=names, licence=["CC0-1.0"] * 5 + ["CC-BY-4.0"])
    outputs = {
        "images": "artifacts/images",
        "catalogue": "artifacts/tables/catalogue.parquet",
        "quarantine": "artifacts/tables/quarantine.parquet",
        "refusals": "artifacts/tables/refusals.parquet",
    }
    write(tmp_path / outputs["catalogue"], sample_id=IDS[:4], licence=["CC0-1.0", "CC0-1.0", "", "CC-BY-4.0"])
    write(
        tmp_path / outputs["quarantine"],
        part=["part-0.parquet"] * 2,
        row=[4, 5],
        source_id=["s/4", "s/5"],
        reason=["undecodable", "repeated_bytes"],
    )
    write(tmp_path / outputs["refusals"], reason=["too_large", "too_large"])
    write(tmp_path / "artifacts/images/part-0.parquet", sample_id=IDS[:4])
    seen = seen_samples(tmp_path, declared(ingest, **outputs), {"pools": ["pool"]}, "0" * 64)
    assert members(seen) == {"received": set(IDS[:5]), "kept": set(IDS[:4])}
    assert seen.samples.dropped == {"landing: too_large": 2, "repeated_bytes": 1, "undecodable": 1}
    assert seen.samples.opt_out == "0" * 64
    told = {"CC0-1.0": 2, "unknown": 1, "CC-BY-4.0": 1}
    assert licences(tmp_path, outputs["catalogue"], "a") == told
    assert licences(tmp_path, outputs["images"], "b") == told
    assert licences(tmp_path, "data", "c") == {"CC0-1.0": 5, "CC-BY-4.0": 1}
    assert licences(tmp_path, outputs["quarantine"], "d") == {}


def test_a_selection_offers_the_training_split_and_holds_the_rest_out(tmp_path: Path) -> None:
    path = "artifacts/tables/selection.parquet"
    write(tmp_path / path, sample_id=IDS, split=["train"] * 4 + ["heldout_cell", "heldout_concept"])
    seen = seen_samples(tmp_path, declared(sample, selection=path), {})
    assert members(seen) == {"offered": set(IDS[:4]), "held_out": set(IDS[4:])}


def test_a_filter_keeps_some_and_drops_the_others_for_a_reason(tmp_path: Path) -> None:
    path = "artifacts/tables/verdicts.parquet"
    reasons = ["", "", "", "blurred", "blurred", "unsafe"]
    write(tmp_path / path, sample_id=IDS, kept=[not reason for reason in reasons], reason=reasons)
    seen = seen_samples(tmp_path, declared(filter_images, verdicts=path), {})
    assert members(seen) == {"kept": set(IDS[:3])}
    assert seen.samples.dropped == {"blurred": 2, "unsafe": 1}


def test_candidates_were_drawn_by_a_model_or_came_in_a_file(tmp_path: Path) -> None:
    paths = {"pairs": "artifacts/tables/pairs.parquet", "candidates": "artifacts/tables/candidates.parquet"}
    write(tmp_path / paths["candidates"], sample_id=IDS, model=["m"] * 4 + [""] * 2)
    write(tmp_path / paths["pairs"], winner=IDS[:3], loser=IDS[3:])
    seen = seen_samples(tmp_path, declared(preferences, **paths), {})
    assert members(seen) == {"generated": set(IDS[:4]), "received": set(IDS[4:])}
    assert seen.samples.derived == {"candidates": 6, "pairs": 3}
