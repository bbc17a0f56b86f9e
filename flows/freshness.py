"""Every call of DVC: is a stage stale, why, and run it if so. The one adapter, so that no other module knows DVC.

DVC is called in process (a no-op costs 0.01 s, the command line seconds), from one process at a time in one workspace.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, cast

import rfc8785
import yaml
from dvc.exceptions import DvcException, ReproductionError
from dvc.fs import DVCFileSystem
from dvc.lock import LockError, make_lock
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils.serialize import dumps_yaml
from dvc_data.index import DataIndexDirError

from flows.declaration import Pipeline
from flows.parameters import PARAMS_FILE, read_blocks
from flows.workspace import git


class FreshnessError(ValueError):
    """DVC cannot answer or act; one line says what, where and what to do."""


@dataclass(frozen=True)
class Verdict:
    """Why a stage must run (empty: it is fresh)."""

    stage: str
    reasons: tuple[str, ...]

    @property
    def is_stale(self) -> bool:
        """Whether the stage must run."""
        return bool(self.reasons)


@contextmanager
def opened(root: Path) -> Generator[Repo]:
    """DVC's repository at `root`, in whose folder the process stays: `reproduce` finds dvc.yaml by the current folder.

    Raises:
        FreshnessError: another DVC process holds the workspace, or DVC refuses for a reason that it names.
    """
    for name in ("dvc", "dvc_data", "dvc_objects"):  # its messages are turned into ours, its bars would cut our display
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.chdir(root)
    try:
        with Repo(str(root)) as repo:
            if repo.tmp_dir:
                drop_torn_locks(Path(repo.tmp_dir))
            yield repo
    except LockError:
        raise FreshnessError(f"{root}: another DVC process works here; wait for it to end and run again") from None
    except ReproductionError:
        raise
    except DvcException as error:
        raise FreshnessError(f"DVC: {' '.join(str(error).split())}") from None


def drop_torn_locks(folder: Path) -> None:
    """Remove DVC's list of readers and writers if a kill cut it short: DVC would refuse to work here from then on.

    It is written in place, under a guard that is held here too, and lists processes, of which the writer is dead.
    """
    file = folder / RWLOCK_FILE
    if not file.is_file():
        return
    with suppress(LockError), make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder)):
        try:
            json.loads(file.read_bytes())
        except ValueError:
            file.unlink()


def describe(change: Any) -> list[str]:
    """One entry of DVC's status as short reasons: `params.yaml: sample.seed modified`."""
    if isinstance(change, str):
        return [change]
    reasons = list[str]()
    for kind, paths in change.items():
        for path, state in paths.items():
            if isinstance(state, dict):
                reasons += [f"{path}: {key} {value}" for key, value in state.items()]
            else:
                reasons.append(f"{'output' if 'outs' in kind else 'input'} {path} {state}")
    return reasons


def changed_keys(old: Any, new: Any, key: str) -> list[str]:
    """The parameters that differ between two values of `key`, each as `sample.seed: 1 -> 2`."""
    if isinstance(old, dict) and isinstance(new, dict):
        before, now = cast(dict[str, Any], old), cast(dict[str, Any], new)
        parts = [changed_keys(before.get(k), now.get(k), f"{key}.{k}") for k in {**before, **now}]
        return [line for part in parts for line in part]
    return [] if old == new else [f"{key}: {old} -> {new}"]


def parameter_changes(stage: str, root: Path) -> list[str]:
    """The parameters of `stage` that differ from those it was last made with; empty if it was never made."""
    entry = lock_entries(root).get(stage, {})
    before = entry.get("params", {}).get(PARAMS_FILE, {}).get(stage)
    return [] if before is None else changed_keys(before, read_blocks(root / PARAMS_FILE).get(stage), stage)


def check_raw_data(root: Path) -> None:
    """Refuse to judge anything without the pinned raw data.

    Raises:
        FreshnessError: data/ is missing, or its objects are.
    """
    if not (root / "data").is_dir():
        raise FreshnessError("data/ is missing: run `dvc pull`, which brings it from infra/data-remote")


def verdicts(pipeline: Pipeline, root: Path) -> dict[str, Verdict]:
    """For every stage whether it is fresh, and why not; a stage below a stale one is stale for that reason.

    Raises:
        FreshnessError: the raw data are missing, or DVC cannot answer.
    """
    check_raw_data(root)
    with opened(root) as repo:
        status: dict[str, list[Any]] = repo.status(targets=list(pipeline.names))
    found, committed = dict[str, Verdict](), lock_entries(root)
    for stage in pipeline:
        if stage.name not in committed:
            found[stage.name] = Verdict(stage.name, ("never run",))
            continue
        changes = status.get(stage.name, [])
        own = parameter_changes(stage.name, root) if changes else []
        own += [reason for change in changes for reason in describe(change) if PARAMS_FILE not in reason or not own]
        above = [f"{parent} is stale" for parent in stage.upstream if found[parent].is_stale]
        found[stage.name] = Verdict(stage.name, tuple(own + above))
    return found


def changes(stage: str, root: Path) -> list[Any]:
    """What DVC finds changed about one stage: `{"changed deps": {path: "modified"}}`, likewise outs; "changed ...".

    Raises:
        FreshnessError: DVC cannot answer.
    """
    with opened(root) as repo:
        return repo.status(targets=[stage]).get(stage, [])


def entry_if_committed(stage: str, root: Path) -> dict[str, Any]:
    """What dvc.lock would say of a stage after `commit`; nothing is written.

    Raises:
        FreshnessError: DVC cannot answer.
    """
    with opened(root) as repo:
        loaded = repo.stage.load_one(name=stage)
        loaded.save_deps()
        entry = cast(Callable[[Any], dict[str, Any]], to_single_stage_lockfile)(loaded)
        return _parsed(dumps_yaml(entry))  # written and read as dvc.lock is: a number may come back as a text


def commit(stage: str, root: Path) -> None:
    """Take a stage as made of what lies there now, without running it.

    Raises:
        FreshnessError: DVC cannot act.
    """
    with opened(root) as repo:
        take = cast(Callable[..., Any], repo.commit)  # its decorators hide its signature
        take(stage, force=True)


def drop_damaged(root: Path, dvc_hash: str) -> None:
    """Remove from DVC's cache what is not what its name says, of a file or folder (`md5:...`): DVC would use it again.

    Raises:
        FreshnessError: DVC cannot act.
    """
    with opened(root) as repo:
        place = cast(Callable[[str], str], repo.cache.local.oid_to_path)
        name = dvc_hash.removeprefix("md5:")
        listed = Path(place(name))
        names = [name]
        if name.endswith(".dir") and listed.is_file():
            with suppress(ValueError):
                names += [one["md5"] for one in json.loads(listed.read_bytes())]
        for one in names:
            kept = Path(place(one))
            if kept.is_file() and hashlib.md5(kept.read_bytes(), usedforsecurity=False).hexdigest() != one[:32]:
                kept.unlink()


def reproduce(stage: str, root: Path, environment: Mapping[str, str], *, force: bool = False) -> bool:
    """Bring one stage up to date; returns whether anything was stale (it ran, or came out of DVC's run cache).

    Raises:
        ReproductionError: the stage's command failed.
        FreshnessError: DVC cannot act.
    """
    with opened(root) as repo:
        run = cast(Callable[..., list[Any]], repo.reproduce)  # its decorators hide its signature
        return bool(run(targets=[stage], single_item=True, force=force, run_env=dict(environment)))


def pull(root: Path) -> None:
    """Bring data/ from the remote inside the repository.

    Raises:
        FreshnessError: an object is missing from the remote.
    """
    with opened(root) as repo:
        repo.pull(targets=["data.dvc"])


def pin(root: Path) -> None:
    """Record what data/ holds in data.dvc, and keep its files in DVC's cache; unchanged files cost a look each.

    Raises:
        FreshnessError: DVC cannot act.
    """
    with opened(root) as repo:
        add = cast(Callable[..., Any], repo.add)  # its decorators hide its signature
        add(["data"])


def check_out(root: Path, revision: str, paths: Sequence[str], folder: Path) -> None:
    """Write stages' output files below `folder` as dvc.lock of a git revision records them, out of DVC's cache.

    Raises:
        FreshnessError: git has no such revision, dvc.lock or the file is not in it, or its bytes are not kept here.
    """
    if not git(root, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"):
        raise FreshnessError(f"{revision}: neither a file, a folder nor a git revision; give one of them")
    lock = git(root, "show", f"{revision}:dvc.lock")
    if not lock:
        raise FreshnessError(
            f"{revision}: dvc.lock was not committed there, so nobody knows what it had made; "
            "commit dvc.lock after a run, and later versions can be compared with it"
        )
    with opened(root):
        files = DVCFileSystem(url=str(root), rev=revision)
        for path in paths:
            if not any(lock_hash(lock, str(part)) for part in (path, *PurePosixPath(path).parents)):
                raise FreshnessError(f"{revision}: its dvc.lock names no {path}; that version was made without it")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            try:
                (folder / path).write_bytes(files.read_bytes(path))
            except (FileNotFoundError, DataIndexDirError):
                raise FreshnessError(
                    f"{revision}: the bytes of {path} are not in DVC's cache; check that revision out and run it again"
                ) from None


def lock_hash(lock: str, path: str) -> str | None:
    """DVC's hash of the output `path` in the text of a dvc.lock; None if it is not there."""
    stages = (yaml.safe_load(lock) or {}).get("stages", {})
    return next((known[path] for known in map(output_hashes, stages.values()) if path in known), None)


def lock_entries(root: Path) -> dict[str, Any]:
    """What dvc.lock records of each stage that was committed."""
    file = root / "dvc.lock"
    return _parsed(file.read_text(encoding="utf-8"))["stages"] if file.exists() else {}


@lru_cache(maxsize=4)
def _parsed(lock: str) -> dict[str, Any]:
    """What the text of a dvc.lock says: thousands of lines, asked for several times a stage. Not to be changed."""
    return yaml.load(lock, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def fingerprint(entry: Mapping[str, Any]) -> str:
    """SHA-256 over canonical JSON of what a stage was made from: its name and command, inputs, code and parameters.

    It names jobs and joins records. Freshness stays DVC's. Where the stage ran is no part of it.
    """
    made_from = {key: entry[key] for key in ("cmd", "deps", "params") if key in entry}
    return hashlib.sha256(rfc8785.dumps(made_from)).hexdigest()


def output_hashes(entry: Mapping[str, Any]) -> dict[str, str]:
    """DVC's hash of each output of a committed stage, by path."""
    return {out["path"]: f"{out.get('hash', 'md5')}:{out['md5']}" for out in entry.get("outs", [])}
