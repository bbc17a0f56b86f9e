"""Versions of the data set out of a real git repository with a real DVC cache, and the commands that look into them."""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from ruamel.yaml import YAML

from components.data import records
from components.data.report.diff import difference
from components.data.report.summary import summarise, write_summary
from components.data.report.tables import Tables
from flows.data_report import compared_page
from flows.data_versions import CATALOGUE, REPORT, SELECTION, SUMMARY, find_summary, find_version, previous_revision
from flows.freshness import FreshnessError

ROOT = Path(__file__).resolve().parents[2]
WORDS = "<script>alert(1)</script> [bold]\x1b[31mred"


def picture(number: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(out, "PNG")
    return out.getvalue()


def sample_id(number: int) -> str:
    import hashlib

    return hashlib.sha256(picture(number)).hexdigest()


def table(schema: pa.Schema, rows: list[dict[str, object]]) -> pa.Table:
    blank = {field.name: "" if pa.types.is_string(field.type) else None for field in schema}
    return pa.Table.from_pylist([blank | row for row in rows], schema)


def version(num_selected: int, num: int = 6) -> Tables:
    """Six images of one category, of which the first `num_selected` train."""
    ids = [{"sample_id": sample_id(n)} for n in range(num)]
    size = {"width": 8, "height": 8, "num_bytes": 70, "licence": "MIT", "source": "pool", "shard": 0}
    tree = {"category": "animals", "subcategory": "small", "probability": 1.0}
    chosen = {"category": "animals", "split": "train", "probability": 1 / num_selected}
    return Tables(
        catalogue=table(records.CATALOGUE, [one | size | {"row": n, "title_en": WORDS} for n, one in enumerate(ids)]),
        refusals=records.REFUSALS.empty_table(),
        quarantine=records.QUARANTINE.empty_table(),
        verdicts=table(records.VERDICTS, [one | {"kept": True} for one in ids]),
        categories=table(records.CATEGORIES, [one | tree for one in ids]),
        captions=table(records.CAPTIONS, [one | {"kind": "short", "language": "en", "text": WORDS} for one in ids]),
        ocr=records.OCR.empty_table(),
        scores=table(records.SCORES, [one | {"aesthetic": 1.0} for one in ids]),
        selection=table(records.SELECTION, [one | chosen for one in ids[:num_selected]]),
    )


def write(root: Path, tables: Tables) -> None:
    for name, one in vars(tables).items():
        if isinstance(one, pa.Table):
            records.write_table(one, root / f"artifacts/tables/{name}.parquet")
    rows = [{"sample_id": sample_id(n), "bytes": picture(n)} for n in range(6)]
    records.write_table(pa.Table.from_pylist(rows, records.IMAGES), root / "artifacts/images/part-00000.parquet")
    (root / REPORT).mkdir(parents=True, exist_ok=True)
    write_summary(summarise(tables), root / SUMMARY)


def call(root: Path, *command: str) -> None:
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=120)


def commit(root: Path, tables: Tables, *, with_lock: bool = True) -> None:
    write(root, tables)
    call(root, sys.executable, "-m", "dvc", "commit", "--force", "--quiet")
    call(root, "git", "add", ".", *([] if with_lock else [":!dvc.lock"]))
    call(root, "git", "-c", "user.name=a test", "-c", "user.email=test@invalid", "commit", "-qm", "a version")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commits: without dvc.lock, with two images selected, with three; four in the workspace."""
    root = tmp_path_factory.mktemp("versions")
    call(root, "git", "init", "-q")
    call(root, sys.executable, "-m", "dvc", "init", "--quiet")
    stage = {"cmd": "true", "outs": [REPORT, SELECTION, CATALOGUE]}
    YAML().dump({"stages": {"made": stage}}, root / "dvc.yaml")
    (root / "flows").mkdir()
    (root / "flows" / "pipeline.py").touch()  # by this file the command line knows a workspace
    commit(root, version(1), with_lock=False)
    commit(root, version(2))
    commit(root, version(3))
    write(root, version(4))
    return root


@pytest.mark.parametrize(("name", "number"), [("HEAD~1", 2), ("HEAD", 3), ("workspace", 4)])
def test_a_version_is_what_was_made_then(repository: Path, name: str, number: int) -> None:
    found = find_version(repository, name)
    assert found.summary == summarise(version(number)) == find_summary(repository, name)
    assert found.members is not None
    assert found.members.column("sample_id").to_pylist() == [sample_id(n) for n in range(number)]


def test_two_revisions_differ_in_what_was_planted(repository: Path) -> None:
    found = difference(find_version(repository, "HEAD~1"), find_version(repository, "workspace"))
    assert (found.came, found.went, found.regrouped) == (2, 0, 0)
    assert difference(find_version(repository, "HEAD"), find_version(repository, "HEAD")).is_empty


def test_folders_and_summary_files_are_versions_too(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "artifacts", tmp_path / "artifacts")
    for place in (tmp_path, tmp_path / "artifacts"):
        found = find_version(repository, str(place))
        assert found.members is not None
        assert difference(replace(found, name="workspace"), find_version(repository, "workspace")).is_empty
    alone = find_version(repository, str(tmp_path / SUMMARY))
    assert alone.members is None
    assert alone.summary == find_version(repository, str(tmp_path / REPORT)).summary == found.summary


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "neither a file, a folder nor a git revision"),
        ("--help", "neither a file"),
        ("HEAD~2", "dvc.lock was not committed there"),
    ],
)
def test_a_version_that_is_not_there_is_one_clear_line(repository: Path, name: str, said: str) -> None:
    with pytest.raises(FreshnessError, match=said) as error:
        find_version(repository, name)
    assert str(error.value).startswith(f"{name}: ")
    assert "\n" not in str(error.value)


def test_bytes_that_the_cache_lost_are_told(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/.dvc/cache/files")
    with pytest.raises(FreshnessError, match="not in DVC's cache"):
        find_version(tmp_path / "copy", "HEAD")


def test_the_previous_version_is_the_newest_with_another_selection(repository: Path, tmp_path: Path) -> None:
    head, before = (
        subprocess.run(
            ["git", "rev-parse", "--short", name], cwd=repository, capture_output=True, text=True, timeout=60
        ).stdout
        for name in ("HEAD", "HEAD~1")
    )
    # dvc.lock is as HEAD has it: what was made before is HEAD~1's.
    assert previous_revision(repository) == before.strip()
    shutil.copytree(repository, tmp_path / "copy")
    call(tmp_path / "copy", sys.executable, "-m", "dvc", "commit", "--force", "--quiet")
    assert previous_revision(tmp_path / "copy") == head.strip()


def test_the_page_is_compared_with_an_earlier_version(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EASEL_HOME", raising=False)
    shutil.copyfile(ROOT / "params.yaml", repository / "params.yaml")
    page = compared_page(repository, "HEAD~1")
    assert page == repository / ".easel/data_report/since-HEAD-1.html"
    text = page.read_text(encoding="utf-8")
    assert "since the version <b>HEAD~1</b>" in text
    assert '4<span class="delta up">+2</span>' in "".join(text.split("\n"))
    (repository / "params.yaml").unlink()


def easel(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    command = [sys.executable, "-m", "flows", "data", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240)


def test_show_tells_everything_and_saves_the_bytes(repository: Path, tmp_path: Path) -> None:
    done = easel(repository, "show", sample_id(1)[:8], "--save", str(tmp_path / "it.png"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "it.png").read_bytes() == picture(1)
    for told in (sample_id(1), "MIT", "animals", "<script>alert(1)</script> [bold]\\x1b[31mred", "part-00000.parquet"):
        assert told in done.stdout
    known = json.loads(easel(repository, "show", str(tmp_path / "it.png"), "--json").stdout)
    assert known["sample_id"] == sample_id(1)
    assert known["catalogue"]["title_en"] == WORDS
    wrong = easel(repository, "show", "abcdef01")
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
    assert "no sample has that id" in wrong.stderr


def test_diff_prints_tables_or_json(repository: Path) -> None:
    done = easel(repository, "diff")
    assert "From HEAD to workspace: 1 images in, 0 out" in done.stdout, done.stderr
    found = json.loads(easel(repository, "diff", "HEAD~1", "HEAD", "--json").stdout)
    assert (found["came"], found["went"]) == (1, 0)
    assert "hold the same" in easel(repository, "diff", "HEAD", "HEAD").stdout
    wrong = easel(repository, "diff", "HEAD~2", "HEAD")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
