"""Checkpoints of one training run, as folders of files: written in two phases and verified before anything is read.

A store's directory, <stage>/<digest>, belongs to one identity (stage, parameters, inputs, code):

    images-000000012800/    a checkpoint: its files, and manifest.json with the SHA-256 and the size of each
    .images-000000019200/   one that is being written; what a killed attempt left is removed when the next one starts
    latest                  the name of the newest, written last

Every rank writes its files into the same temporary folder and leaves a receipt of their digests. Rank 0 waits for all
receipts, writes the manifest, flushes everything to disk, renames the folder, and only then moves `latest` on. A
process that dies anywhere in between leaves the checkpoint before it, whole. What the files hold is the caller's
matter: JSON and safetensors where the format is ours, and DeepSpeed's pickles, which nobody opens unverified.
"""

import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.training.checkpoint_files import (
    CheckpointError,
    CheckpointMismatchError,
    differing_fields,
    file_names,
    flush,
    flushed_digests,
    read_manifest,
    verify,
    write_flushed,
    write_manifest,
)

LATEST = "latest"
logger = logging.getLogger(__name__)
NAME = re.compile(r"images-\d{12,}")


@dataclass(frozen=True)
class Checkpoint:
    """A whole, verified checkpoint: where its files lie, and what the writer said about them."""

    directory: Path
    images_seen: int
    num_ranks: int
    facts: Mapping[str, Any]


class CheckpointStore:
    """The checkpoints of the run that `identity` (plain JSON values) describes; at most `keep` are kept.

    `warn` gets one line for each checkpoint that is refused.
    """

    def __init__(
        self,
        directory: Path,
        identity: Mapping[str, Any],
        keep: int = 2,
        warn: Callable[[str], None] = logger.warning,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.directory, self._keep, self._warn = directory, keep, warn
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))

    def clear_leftovers(self) -> None:
        """Remove what killed attempts left half-written: for one process, before any rank writes."""
        for leftover in self.directory.glob(".*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()

    def begin(self, images_seen: int) -> Path:
        """The temporary folder of the checkpoint at `images_seen`; the same for every rank."""
        folder = self.directory / f".{_name(images_seen)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def leave_receipt(self, folder: Path, rank: int, files: Iterable[Path] = ()) -> None:
        """Say that `rank` has written all its files; those in `files` are flushed and hashed here.

        The others are left to rank 0, which hashes whatever no receipt names.
        """
        names = [file.relative_to(folder).as_posix() for file in files]
        write_flushed(folder / _receipt(rank), json.dumps(flushed_digests(folder, names)))

    def commit(
        self, folder: Path, images_seen: int, facts: Mapping[str, Any], num_ranks: int = 1, timeout_s: float = 1800.0
    ) -> Checkpoint:
        """Make `folder` the newest checkpoint once all ranks have left their receipts: rank 0's part.

        Raises:
            CheckpointError: a receipt did not come within `timeout_s`, or a file changed after its receipt.
        """
        files = self._collect(folder, num_ranks, timeout_s)
        body = {
            "identity": self._identity,
            "images_seen": images_seen,
            "num_ranks": num_ranks,
            "facts": dict(facts),
            "files": files,
        }
        write_manifest(folder, body)
        final = self.directory / _name(images_seen)
        self._drop(final)  # there only if it was refused, or renamed and never named by `latest`
        folder.rename(final)
        flush(self.directory)
        write_flushed(self.directory / LATEST, final.name + "\n")
        kept = self._names(until=final.name)[: self._keep]
        for other in self.directory.glob("images-*"):
            if other.name not in kept:
                self._drop(other)
        return Checkpoint(final, images_seen, num_ranks, facts)

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, every byte of it verified; None if there is none.

        Raises:
            CheckpointMismatchError: it was made by another run.
        """
        newest = newest_name(self.directory)
        names = self._names(until=newest)
        if (newest or (self.directory / LATEST).exists()) and newest not in names:
            self._warn(f"{self.directory / LATEST} names no checkpoint that is here; going by the folders")
        for name in names:
            try:
                checkpoint, files = self._read(self.directory / name)
                verify(checkpoint.directory, files)
                return checkpoint
            except (CheckpointError, OSError) as error:
                self._warn(f"checkpoint refused: {error}; going back to the one before it")
        return None

    def at(self, images_seen: int) -> Checkpoint:
        """The checkpoint that another rank found with `latest`, its manifest read, its files not hashed again.

        Raises:
            CheckpointError: it is not there.
            CheckpointMismatchError: it was made by another run.
        """
        return self._read(self.directory / _name(images_seen))[0]

    def _names(self, until: str = "") -> list[str]:
        """Names of the finished checkpoints, newest first; with `until`, that one and older ones."""
        names = sorted(
            filter(NAME.fullmatch, (folder.name for folder in self.directory.glob("images-*"))), reverse=True
        )
        return [name for name in names if not until or name <= until]

    def _read(self, folder: Path) -> tuple[Checkpoint, dict[str, Any]]:
        body = read_manifest(folder)
        if different := differing_fields(body["identity"], self._identity):
            raise CheckpointMismatchError(
                f"{folder}: a checkpoint of another run ({different}); move it away, or go back to what made it"
            )
        return Checkpoint(folder, body["images_seen"], body["num_ranks"], body["facts"]), body["files"]

    def _collect(self, folder: Path, num_ranks: int, timeout_s: float) -> dict[str, Any]:
        """The digests of all files: from the receipts, which are removed, and of what no receipt names."""
        receipts = [folder / _receipt(rank) for rank in range(num_ranks)]
        deadline_s = time.monotonic() + timeout_s
        while missing := [receipt for receipt in receipts if not receipt.exists()]:
            if time.monotonic() > deadline_s:
                raise CheckpointError(f"{missing[0]} did not come within {timeout_s:g} s: that rank has not written")
            time.sleep(0.02)
        files: dict[str, Any] = {}
        for receipt in receipts:
            files |= json.loads(receipt.read_text(encoding="utf-8"))
            receipt.unlink()
        for name, (_, num_bytes) in files.items():
            if (folder / name).stat().st_size != num_bytes:
                raise CheckpointError(f"{folder / name} changed after the rank that wrote it had left its receipt")
        return files | flushed_digests(folder, file_names(folder) - files.keys())

    def _drop(self, folder: Path) -> None:
        """Remove a checkpoint such that no half of it is ever found under its name."""
        if folder.exists():
            dropped = folder.with_name(f".{folder.name}.dropped")
            shutil.rmtree(dropped, ignore_errors=True)
            folder.rename(dropped)
            shutil.rmtree(dropped, ignore_errors=True)


def newest_name(directory: Path) -> str:
    """The name that `latest` gives in a store's directory; "" if it gives none."""
    try:
        text = (directory / LATEST).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return text if NAME.fullmatch(text) else ""


def not_continued(directory: Path, identity: Mapping[str, Any]) -> str:
    """Why a run starts from nothing though its stage has a checkpoint: the fields in which that one differs.

    "" if the run has a checkpoint of its own in `directory`, or no sibling of that has one.
    """
    siblings = sorted(directory.parent.glob(f"*/{LATEST}"), key=lambda file: file.stat().st_mtime)
    if newest_name(directory) or not siblings:
        return ""
    other = siblings[-1].parent
    try:
        made_by = read_manifest(other / newest_name(other))["identity"]
    except (CheckpointError, OSError):
        return ""
    return f"not continued: {differing_fields(made_by, json.loads(json.dumps(identity)))}"


def keep_newest(directory: Path, num_others: int) -> None:
    """Of all stages' stores beside `directory`, keep the `num_others` written last that hold a checkpoint."""
    others = [folder for folder in directory.parent.parent.glob("*/*") if folder.is_dir() and folder != directory]
    held = sorted((folder for folder in others if newest_name(folder)), key=lambda folder: folder.stat().st_mtime)
    for folder in set(others) - set(held[len(held) - min(num_others, len(held)) :]):
        shutil.rmtree(folder, ignore_errors=True)


class AsyncWriter:
    """Writes in a thread beside the training loop, one at a time: a second write waits for the first.

    What a write raised comes out of the next call. Call `close` at the end of training. Who stops without it, because
    of an error, does not wait: the half-written folder is removed when the next attempt starts.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def submit(self, write: Callable[[], object]) -> None:
        """Wait for the write before, then start `write`."""
        self.close()
        self._thread = threading.Thread(target=self._run, args=(write,), daemon=True, name="checkpoint-writer")
        self._thread.start()

    def close(self) -> None:
        """Wait for the write in flight, if there is one; raises what it raised."""
        if self._thread is not None:
            self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error is not None:
            raise error

    def _run(self, write: Callable[[], object]) -> None:
        try:
            write()
        except BaseException as error:  # it is raised again where it can be heard
            self._error = error


_current: list[CheckpointStore] = []


def current_checkpoints() -> CheckpointStore | None:
    """The store of the running stage; None outside a stage run, where nothing is kept."""
    return _current[-1] if _current else None


@contextmanager
def open_checkpoints(store: CheckpointStore) -> Generator[CheckpointStore]:
    """`store` is `current_checkpoints()` inside the block."""
    _current.append(store)
    try:
        yield store
    finally:
        _current.pop()


def _name(images_seen: int) -> str:
    return f"images-{images_seen:012d}"


def _receipt(rank: int) -> str:
    return f"receipt-{rank:05d}.json"
