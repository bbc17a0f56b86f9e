"""From what the chain drew to pairs that people chose: candidates as files, a tournament, votes that name them."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from components.data.album import Album
from components.preference.config import PairRules
from components.preference.votes import pairs_from_votes, read_votes
from flows.annotate import open_session
from flows.candidates import prompts, write_candidates
from flows.cli import app
from flows.pipeline import PREFERENCES

PROMPT = "a [red] fox, Noto style"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with five candidates of each of two prompts, in shards of three."""
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    root = tmp_path / "workspace"
    (root / "flows").mkdir(parents=True)
    (root / "flows" / "pipeline.py").touch()
    monkeypatch.chdir(root)
    album, rows, draw = Album(root / PREFERENCES.outputs["candidate_images"], 3), [], np.random.default_rng(0)
    for number in range(10):
        out = io.BytesIO()
        small = Image.fromarray(draw.integers(0, 256, (4, 4, 3)).astype(np.uint8))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(out, "PNG")
        rows.append({"sample_id": album.add(out.getvalue())[0], "prompt": PROMPT if number % 2 else "a cat"})
    album.close()
    file = root / PREFERENCES.outputs["candidates"]
    file.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), file)
    return root


def test_people_choose_among_what_the_chain_drew(root: Path) -> None:
    assert prompts(root) == {"a cat": 5, PROMPT: 5}
    assert write_candidates(root, PROMPT, root / "foxes") == 5
    drawn = {row["sample_id"] for row in pq.read_table(root / PREFERENCES.outputs["candidates"]).to_pylist()}
    for file in (root / "foxes").iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.stem
    session, _, _ = open_session(root / "foxes", "p7", name="", prompt=PROMPT, num_calibration=2, seed=0)
    better = {pair.better for pair in session._tournament.known}
    while (state := session.state()).vote_id:
        is_left = state.left in better if state.phase == "calibration" else state.left > state.right
        session.vote(state.vote_id, "a" if is_left else "b")
    session.close()

    told = CliRunner().invoke(app, ["votes", "foxes", "-o", "foxes.jsonl", "--json"])
    assert json.loads(told.stdout)["annotators"].keys() == {"p7"}
    rules = PairRules(0.0, None, 1, "moderate_first", 0.5, 0)
    pairs = pairs_from_votes(read_votes(root / "foxes.jsonl"), {PROMPT: "animals"}, rules).table.to_pylist()
    assert len(pairs) >= 5
    for pair in pairs:
        assert {pair["winner"], pair["loser"]} <= drawn
        assert pair["winner"] > pair["loser"]
        assert (pair["prompt"], pair["category"], pair["is_human"]) == (PROMPT, "animals", True)


def test_what_cannot_be_written_is_one_line(root: Path) -> None:
    shown = CliRunner().invoke(app, ["candidates"]).stdout
    assert f"5 {PROMPT}" in shown
    with pytest.raises(ValueError, match="nothing was drawn for 'a dog'; `easel candidates` names"):
        write_candidates(root, "a dog", root / "dogs")
    (root / "there").mkdir()
    with pytest.raises(ValueError, match="is there already"):
        write_candidates(root, PROMPT, root / "there")
    (root / PREFERENCES.outputs["candidates"]).unlink()
    with pytest.raises(ValueError, match="easel run --until preferences"):
        prompts(root)
