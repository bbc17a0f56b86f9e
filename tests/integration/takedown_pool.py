"""A small workspace with images in data/, a remote and a planted ledger, from which images are taken down."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data import records
from components.lineage.keys import make_key
from tests.conftest import Workspace
from tests.ledgers import Planted, sample_ledger

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

HALF_DONE = """
import os, signal, sys
from pathlib import Path
from flows.lineage import takedowns
from flows.lineage.takedown_matches import Wish

sha256, name = sys.argv[1:]
unlink = Path.unlink


def and_die(self, *args, **kwargs):
    unlink(self, *args, **kwargs)
    if self.name == name:
        os.kill(os.getpid(), signal.SIGKILL)


Path.unlink = and_die
takedowns.take_down(Path.cwd(), takedowns.Order(Wish("sha256", sha256), "asked by the owner", "ann"))
"""
"""Ends itself as soon as a file of that name is deleted."""


def picture(seed: int) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (24, 24), hashlib.shake_256(bytes([seed])).digest(24 * 24 * 3)).save(out, "PNG")
    return out.getvalue()


IMAGES = [picture(seed) for seed in range(6)]
IDS = [hashlib.sha256(data).hexdigest() for data in IMAGES]
GONE, NEAR = IDS[2], IDS[4]


@pytest.fixture(scope="module")
def first_pool(first_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small workspace with images in data/, a table that was made of them, and a remote beside it."""
    root = tmp_path_factory.mktemp("pool") / "small"
    shutil.copytree(first_workspace.root, root)
    pool = Workspace(root)
    (root / "data" / "images").mkdir()
    write_raw(root / "data" / "images" / "part-00000.parquet", IMAGES)
    (root / "data" / "loose.png").write_bytes(IMAGES[2])
    block = "filter_images: # what is dropped\n  filters: {enabled: [opted_out]}\n  opt_out: null # nobody yet\n"
    (root / "params.yaml").write_text((root / "params.yaml").read_text() + block)
    dvc = (sys.executable, "-m", "dvc")
    pool.run(*dvc, "remote", "add", "-d", "near", str(Path("..") / "remote"))
    pool.run(*dvc, "add", "-q", "data")
    pool.run(*dvc, "push", "-q")
    made = root / "artifacts" / "kept"
    made.mkdir(parents=True)
    pq.write_table(pa.table({"sample_id": IDS, "bytes": IMAGES}), made / "rows.parquet", compression="zstd")
    pool.run("git", "add", "-A")
    pool.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "images")
    return pool


@pytest.fixture
def pool(first_pool: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A pool and a remote of its own, and a key for its ledger."""
    shutil.copytree(first_pool.root.parent, tmp_path, dirs_exist_ok=True)
    make_key(tmp_path / "key.pem")
    monkeypatch.setenv("EASEL_LEDGER_KEY", str(tmp_path / "key.pem"))
    return Workspace(tmp_path / "small")


@pytest.fixture
def planted(pool: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """A ledger for the pool that holds the planted records, none of which is about the pool's images."""
    planted = sample_ledger(tmp_path / "ledger", decisions=False)
    monkeypatch.setenv("EASEL_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("EASEL_LEDGER_KEY", str(tmp_path / "ledger-key.pem"))
    return planted


def write_raw(file: Path, images: Sequence[bytes]) -> None:
    """A raw part; the first four images are by one creator."""
    told = {"source": "made", "title_en": "a thing", "style": "photo", "concept": ""}
    rows = [
        told | {"source_id": f"{file.stem}/{number}", "image": data, "creator": "ann" if number < 4 else "ben"}
        for number, data in enumerate(images)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=records.RAW), file)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flows", *arguments]


def environment(pool: Workspace) -> dict[str, str]:
    return pool.environment | {name: value for name, value in os.environ.items() if name.startswith("EASEL_LEDGER")}


def run(pool: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=pool.root, env=environment(pool), capture_output=True, text=True, timeout=120, check=False
    )


def easel(pool: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(pool, *command(*arguments))


def take_down(pool: Workspace, *arguments: str) -> dict[str, Any]:
    done = easel(pool, "takedown", *arguments, "--reason", "asked by the owner", "--by", "ann", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_in(data: bytes, image: bytes) -> bool:
    """Whether the bytes hold the image, as it is or in a cell of a table."""
    if data[:4] == b"PAR1":
        return any(image in column for column in pq.read_table(io.BytesIO(data)).to_pydict().values())
    return image in data


def holders(folder: Path, image: bytes = IMAGES[2]) -> list[Path]:
    """Files that hold the image; git's own history is left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return [file for file in files if is_in(file.read_bytes(), image)]
