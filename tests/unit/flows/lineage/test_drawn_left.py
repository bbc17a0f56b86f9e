"""What a training leaves of its samples: read again by its own record alone, and never a reason to fail."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.enhancer.wishes import WISHES
from components.lineage.manifest import contains
from flows.lineage.drawn_left import leave_drawn, left_drawn
from flows.lineage.sample_sets import seen_samples
from flows.pipeline import PIPELINE

IDS = [hashlib.sha256(b"image %d" % number).hexdigest() for number in range(6)]
READ = {"pairs": "ab" * 32}
CONSUMED = {"manifest_hash": "cd" * 32, "seed": 8, "batch_size": 2, "start": 0, "stop": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with what `enhancer` reads of wishes, four of them to train on, and what it says of itself."""
    root = tmp_path / "work"
    stage = PIPELINE["enhancer"]
    wishes, model = root / stage.inputs["pairs"].path, root / stage.outputs["model"]
    wishes.parent.mkdir(parents=True)
    model.mkdir(parents=True)
    splits = ["train"] * 4 + ["heldout_cell"] * 2
    rows = [
        {field.name: 64 if field.type == pa.int32() else "" for field in WISHES} | {"sample_id": one, "split": split}
        for one, split in zip(IDS, splits, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=WISHES), wishes)
    (model / "training.json").write_text(json.dumps({"consumed": CONSUMED, "held_out": {"examples_seen": 4}}))
    shutil.copyfile("params.yaml", root / "params.yaml")
    return root


def test_what_was_left_makes_the_same_record_without_the_workspace(root: Path, tmp_path: Path) -> None:
    stage = PIPELINE["enhancer"]
    leave_drawn(root, stage.name, tmp_path, "run", READ)
    found = left_drawn(stage.name, tmp_path, "run", READ)
    computed = seen_samples(root, stage, {})
    (root / stage.outputs["model"] / "training.json").unlink()
    taken = seen_samples(root, stage, {}, "", found)
    assert taken == computed
    drawn = next(one for one in taken.samples.sets if one.role == "drawn")
    assert [contains(taken.blobs[f"sets/{drawn.root}"], one) for one in IDS] == [True] * 4 + [False] * 2
    assert taken.samples.consumed[0].stop == 4
    assert not seen_samples(root, stage, {}).samples.sets


def test_what_another_run_left_or_of_other_inputs_or_torn_does_not_count(root: Path, tmp_path: Path) -> None:
    leave_drawn(root, "enhancer", tmp_path, "run", READ)
    assert left_drawn("enhancer", tmp_path, "run", READ) is not None
    assert left_drawn("enhancer", tmp_path, "another", READ) is None
    assert left_drawn("enhancer", tmp_path, "run", {"pairs": "ba" * 32}) is None
    assert left_drawn("sft", tmp_path, "run", READ) is None
    (file,) = tmp_path.glob("enhancer.*")
    whole = file.read_text()
    for torn in (whole[:-9], "[]", whole.replace('"drawn": "', '"drawn": "%'), whole.replace('"held_out"', '"held"')):
        file.write_text(torn)
        assert left_drawn("enhancer", tmp_path, "run", READ) is None


def test_a_stage_that_cannot_tell_says_so_and_goes_on(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_drawn(root, "ingest", tmp_path, "run", READ)
    assert not list(tmp_path.glob("ingest*"))
    (root / PIPELINE["enhancer"].inputs["pairs"].path).write_text("no table")
    leave_drawn(root, "enhancer", tmp_path, "run", READ)
    assert not list(tmp_path.glob("enhancer*"))
    said = capsys.readouterr().err
    assert "enhancer: did not leave which samples it drew: " in said
    assert len(said.strip().splitlines()) == 1
