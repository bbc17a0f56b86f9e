"""Versions of the data set: the workspace, a folder, or what dvc.lock of a git revision points to in DVC's cache."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from components.data import records
from components.data.errors import DataError
from components.data.report.diff import Version, members
from components.data.report.summary import Summary, parse_summary
from components.data.report.tables import CATALOGUED
from flows.freshness import check_out, lock_hash
from flows.pipeline import PIPELINE
from flows.workspace import git

WORKSPACE = "workspace"
REPORT = PIPELINE["data_report"].outputs["report"]
SUMMARY = f"{REPORT}/summary.json"
SELECTION = PIPELINE["sample"].outputs["selection"]
CATALOGUE = PIPELINE["ingest"].outputs["catalogue"]


def find_version(root: Path, name: str) -> Version:
    """The version called `name`: "workspace", a folder or summary.json that is there, else a git revision.

    Raises:
        DataError: a file is missing or not what it must be.
        FreshnessError: git or DVC does not have that version.
    """
    if name == WORKSPACE:
        return _version_in(root, name)
    if (path := Path(name)).exists():
        return _version_in(path, name) if path.is_dir() else Version(name, parse_summary(path.read_bytes(), name))
    with _checked_out(root, name, SUMMARY, SELECTION, CATALOGUE) as folder:
        return _version_in(folder, name)


def find_summary(root: Path, name: str) -> Summary:
    """The figures of the version called `name`; raises as `find_version`."""
    if name == WORKSPACE or Path(name).exists():
        return find_version(root, name).summary
    with _checked_out(root, name, SUMMARY) as folder:
        return parse_summary((folder / SUMMARY).read_bytes(), name)


def previous_revision(root: Path) -> str | None:
    """The newest commit whose dvc.lock records another selection than the workspace's; None if there is none."""
    current = lock_hash((root / "dvc.lock").read_text(encoding="utf-8"), SELECTION)
    for commit in git(root, "log", "--format=%h", "--max-count=100", "--", "dvc.lock").split():
        recorded = lock_hash(git(root, "show", f"{commit}:dvc.lock"), SELECTION)
        if recorded not in (None, current):
            return commit
    return None


@contextmanager
def _checked_out(root: Path, revision: str, *paths: str) -> Generator[Path]:
    with TemporaryDirectory() as folder:
        check_out(root, revision, paths, Path(folder))
        yield Path(folder)


def _version_in(folder: Path, name: str) -> Version:
    """The version whose files lie in `folder`: a workspace, its artifacts folder, or a report's own folder."""
    inside = PurePosixPath(REPORT).parts[0]
    for start in (folder, folder.parent if folder.name == inside else None):
        if start is None or not (start / SUMMARY).exists():
            continue
        tables = [(start / SELECTION, records.SELECTION), (start / CATALOGUE, CATALOGUED)]
        known = [records.read_table(file, schema) for file, schema in tables if file.exists()]
        summary = parse_summary((start / SUMMARY).read_bytes(), str(start / SUMMARY))
        return Version(name, summary, members(*known) if len(known) == len(tables) else None)
    if (alone := folder / Path(SUMMARY).name).exists():
        return Version(name, parse_summary(alone.read_bytes(), str(alone)))
    raise DataError(f"{name}: holds no {SUMMARY}; run `easel data report` there")
