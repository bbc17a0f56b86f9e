"""A takedown in a real workspace, with git, DVC and a remote: no file holds the image afterwards, however it ends."""

import fcntl
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data import opt_out, records
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.store import FolderStore
from tests.conftest import Workspace

KILLED = """
import os, signal, sys
from pathlib import Path
from flows.lineage import takedowns
from flows.lineage.takedown_matches import Wish

number, sha256 = int(sys.argv[1]), sys.argv[2]
steps = list(takedowns.STEPS)
steps.insert(number, lambda work: os.kill(os.getpid(), signal.SIGKILL))
takedowns.STEPS = tuple(steps)
takedowns.take_down(Path.cwd(), takedowns.Order(Wish("sha256", sha256), "asked by the owner", "ann"))
"""


def picture(seed: int) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (24, 24), hashlib.shake_256(bytes([seed])).digest(24 * 24 * 3)).save(out, "PNG")
    return out.getvalue()


IMAGES = [picture(seed) for seed in range(6)]
GONE = hashlib.sha256(IMAGES[2]).hexdigest()


@pytest.fixture
def pool(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The small workspace with images in data/, a table that was made of them, a remote, and a key of its own."""
    rows = [
        {"source_id": f"made/{number}", "source": "made", "image": data, "creator": "ann" if number < 4 else "ben"}
        for number, data in enumerate(IMAGES)
    ]
    root = workspace.root
    (root / "data" / "images").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=records.RAW), root / "data" / "images" / "part-00000.parquet")
    (root / "data" / "loose.png").write_bytes(IMAGES[2])
    block = "filter_images: # what is dropped\n  filters: {enabled: [opted_out]}\n  opt_out: null # nobody yet\n"
    (root / "params.yaml").write_text((root / "params.yaml").read_text() + block)
    dvc = (sys.executable, "-m", "dvc")
    workspace.run(*dvc, "remote", "add", "-d", "near", str(tmp_path / "remote"))
    workspace.run(*dvc, "add", "-q", "data")
    workspace.run(*dvc, "push", "-q")
    made = root / "artifacts" / "kept"
    made.mkdir(parents=True)
    ids = pa.table({"sample_id": [hashlib.sha256(data).hexdigest() for data in IMAGES], "bytes": IMAGES})
    pq.write_table(ids, made / "rows.parquet", compression="zstd")
    workspace.run("git", "add", "-A")
    workspace.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "images")
    make_key(tmp_path / "key.pem")
    monkeypatch.setenv("TEST_KEY", str(tmp_path / "key.pem"))
    return workspace


def run(pool: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**pool.environment, "EASEL_LEDGER_KEY": os.environ["TEST_KEY"]}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=pool.root, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def easel(pool: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(pool, "-m", "flows", *arguments)


def take_down(pool: Workspace, *arguments: str) -> dict[str, Any]:
    done = easel(pool, "takedown", *arguments, "--reason", "asked by the owner", "--by", "ann", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def holders(folder: Path) -> list[Path]:
    """Files with the image's bytes, as they are or in a cell of a table; git's own history is left out."""
    found = list[Path]()
    for file in (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts):
        data = file.read_bytes()
        if data[:4] == b"PAR1":
            is_held = any(IMAGES[2] in column for column in pq.read_table(file).to_pydict().values())
        else:
            is_held = IMAGES[2] in data
        found += [file] if is_held else []
    return found


def test_no_file_holds_the_image_afterwards_and_it_is_refused_from_now_on(pool: Workspace, tmp_path: Path) -> None:
    assert len(holders(tmp_path)) == 7  # table and loose file in workspace, cache and remote, and the derived table
    told = take_down(pool, "--sha256", GONE)
    assert told["is_new"]
    assert told["receipt"]["was_seen"]
    assert holders(tmp_path) == []
    assert pq.read_table(pool.root / "data" / "images" / "part-00000.parquet").num_rows == len(IMAGES) - 1
    text = (pool.root / "params.yaml").read_text()
    assert "# what is dropped" in text
    assert "# nobody yet" in text
    assert opt_out.read_list(pool.root / "infra" / "opt-out.txt").names(GONE)
    receipt = Path(told["file"])
    assert GONE not in receipt.read_text()
    assert easel(pool, "takedown", "--check", str(receipt)).returncode == 0
    receipt.write_text(receipt.read_text().replace("asked by the owner", "asked by nobody"))
    refused = easel(pool, "takedown", "--check", str(receipt))
    assert refused.returncode == 1
    assert "does not fit" in refused.stderr


def test_a_second_time_nothing_is_done(pool: Workspace) -> None:
    first = take_down(pool, "--sha256", GONE)
    again = take_down(pool, "--sha256", GONE)
    assert not again["is_new"]
    assert again["digest"] == first["digest"]


@pytest.mark.parametrize("number", [2, 4, 6, 8])
def test_a_killed_takedown_goes_on(pool: Workspace, tmp_path: Path, number: int) -> None:
    killed = run(pool, "-c", KILLED, str(number), GONE)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert take_down(pool, "--sha256", GONE)["is_new"]
    assert holders(tmp_path) == []
    assert list((pool.root / ".easel" / "takedowns").glob("*.pending.json")) == []
    ledger = Ledger(FolderStore(pool.root / ".easel" / "ledger"))
    assert [record.decision["state"] for _, record in ledger.records()] == ["requested", "completed"]


def test_an_image_never_seen_is_listed_all_the_same(pool: Workspace) -> None:
    other = hashlib.sha256(b"elsewhere").hexdigest()
    told = take_down(pool, "--sha256", other)
    assert not told["receipt"]["was_seen"]
    assert told["receipt"]["deleted"] == []
    assert Path(told["proofs"]).is_file()
    assert opt_out.read_list(pool.root / "infra" / "opt-out.txt").names(other)


def test_a_creator_is_shown_first_and_a_dry_run_writes_nothing(pool: Workspace) -> None:
    before = pool.run("git", "status", "--porcelain").stdout
    shown = easel(pool, "takedown", "--creator", "ben", "--reason", "r", "--dry-run", "--json")
    assert len(json.loads(shown.stdout)["matches"]) == 2, shown.stderr
    assert pool.run("git", "status", "--porcelain").stdout == before


def test_it_is_refused_while_a_build_runs(pool: Workspace) -> None:
    (pool.root / ".easel").mkdir(exist_ok=True)
    with (pool.root / ".easel" / "workspace.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        refused = easel(pool, "takedown", "--sha256", GONE, "--reason", "r", "--by", "ann", "--yes")
    assert refused.returncode == 1
    assert "a build runs here" in refused.stderr
    assert not (pool.root / "infra" / "opt-out.txt").exists()
