"""A stage run puts whole outputs in place or none, and explains itself in one line."""

import errno
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from flows.declaration import Artifact, Stage
from flows.reports import EXIT_FAULT, EXIT_MISTAKE, explain, hearing_last_words, last_words, write_durably
from flows.run import StageInputError, call, check_inputs


class Params(BaseModel, frozen=True, extra="forbid"):
    rows: float
    writes: int


@dataclass(frozen=True)
class Metrics:
    rows: float


def make(p: Params, *, raw: Path, table: Path, tree: Path) -> Metrics:
    """Make a table and a tree."""
    if p.writes >= 1:
        table.write_text("new")
    if p.writes >= 2:
        tree.mkdir()
        (tree / "leaf").write_text("new")
    if p.writes == 3:
        raise KeyError("late")
    return Metrics(rows=p.rows)


class PreemptedError(RuntimeError):
    exit_code = 75


STAGE = Stage(make, {"raw": Artifact("data")}, {"table": "artifacts/table", "tree": "artifacts/tree"})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "artifacts" / "tree").mkdir(parents=True)
    (tmp_path / "artifacts" / "table").write_text("old")
    (tmp_path / "artifacts" / "tree" / "branch").write_text("old")
    return tmp_path


def run(root, rows, writes):
    return call(STAGE, root, lambda paths: asdict(make(Params(rows=rows, writes=writes), **paths)))


def files(root):
    return {str(p.relative_to(root)): p.read_text() for p in (root / "artifacts").rglob("*") if p.is_file()}


def test_outputs_replace_what_was_there(root):
    assert run(root, rows=3, writes=2) == {"rows": 3}
    made = files(root)
    assert made.pop("artifacts/metrics/make.json").split() == ["{", '"rows":', "3.0", "}"]
    assert made == {"artifacts/table": "new", "artifacts/tree/leaf": "new"}


@pytest.mark.parametrize(
    ("rows", "writes", "error"),
    [(float("nan"), 2, "finite"), (float("inf"), 2, "finite"), (1, 3, "late"), (1, 1, "tree was not written")],
)
def test_a_stage_that_fails_changes_no_output(root, rows, writes, error):
    before = files(root)
    with pytest.raises((ValueError, KeyError), match=error):
        run(root, rows, writes)
    assert files(root) == before


def test_a_missing_input_says_how_to_get_it(root):
    (root / "data").rmdir()
    with pytest.raises(StageInputError, match="dvc pull"):
        check_inputs(STAGE, root)


@pytest.mark.parametrize(
    ("error", "said", "exit_code"),
    [
        (OSError(errno.ENOSPC, "No space", "/x/y"), "the disk is full (writing /x/y)", EXIT_MISTAKE),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "cannot write /x: Read-only file system", EXIT_MISTAKE),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "cannot write /x", EXIT_MISTAKE),
        (ValueError("line one\n   line two"), "line one line two", EXIT_MISTAKE),
        (PreemptedError("stopped after 5 images"), "stopped after 5 images", 75),
        (KeyError("k"), "KeyError: 'k'", EXIT_FAULT),
    ],
)
def test_errors_are_one_line_and_say_whose_they_are(error, said, exit_code):
    line, code = explain(error)
    assert said in line
    assert "\n" not in line
    assert code == exit_code


def test_write_durably_replaces_and_leaves_no_temporary(tmp_path):
    write_durably(tmp_path / "a" / "x", "1")
    write_durably(tmp_path / "a" / "x", "2")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x"]
    assert (tmp_path / "a" / "x").read_text() == "2"


def test_what_cannot_be_written_durably_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder: a folder; name a file in it$"):
        write_durably(tmp_path / "folder", "1")
    with pytest.raises(UnicodeEncodeError):
        write_durably(tmp_path / "x", "\ud800")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_last_words_reach_whoever_listens():
    heard = []
    last_words("nobody hears this")
    with hearing_last_words(lambda *words: heard.append(words)):
        last_words("no step for 300 s")
    last_words("nor this")
    assert heard == [("no step for 300 s", 76)]
