"""Where DVC keeps bytes: the objects of its cache and of its remotes, and the lists that name them.

The second half of the adapter that `flows.freshness` begins: nothing else touches DVC's stores. An object is a file
named by the MD5 of its bytes; one whose name ends in `.dir` is a JSON list of the objects of a folder.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, cast

import yaml
from dvc.repo import Repo, lock_repo
from dvc_data.hashfile.db import get_index

from flows.freshness import lock_entries, opened

FOLDER = ".dir"


@dataclass(frozen=True)
class Store:
    """One place with objects: the cache, or a remote by its name."""

    name: str
    address: str
    odb: Any

    @property
    def is_cache(self) -> bool:
        """Whether this is this workspace's cache, from which DVC restores outputs."""
        return self.name == "cache"

    @property
    def is_local(self) -> bool:
        """Whether the objects are files of this machine."""
        return bool(self.odb.fs.protocol == "local")

    def names(self) -> dict[str, str]:
        """Every object's name and where it lies."""
        if not self.odb.fs.exists(self.odb.path):
            return {}
        found = dict[str, str]()
        for path in self.odb.fs.find(self.odb.path):
            folder, name = PurePosixPath(path).parts[-2:]
            if len(folder) == 2 and len(folder + name.removesuffix(FOLDER)) == 32:
                found[folder + name] = path
        return found

    @contextmanager
    def file(self, path: str) -> Generator[Path]:
        """The object at `path` as a file of this machine, fetched if it lies elsewhere."""
        if self.is_local:
            yield Path(path)
            return
        with TemporaryDirectory() as folder:
            local = Path(folder) / "object"
            self.odb.fs.get_file(path, str(local))
            yield local

    def size(self, path: str) -> int:
        """Bytes of the object at `path`."""
        return int(self.odb.fs.size(path) or 0)

    def remove(self, path: str) -> None:
        """Delete the object at `path`."""
        self.odb.fs.remove(path)

    def forget(self) -> None:
        """Drop what DVC remembers of this store's objects, so that it looks again."""
        index = get_index(self.odb)
        index.clear()
        index.close()


@dataclass(frozen=True)
class Held:
    """DVC's repository, which no other process of DVC's works in meanwhile."""

    root: Path
    repo: Repo

    def stores(self) -> list[Store]:
        """The cache, in its present and its former layout, and every remote that the configuration names."""
        cache = self.repo.cache
        found = [Store("cache", odb.path, odb) for odb in (cache.local, cache.legacy) if odb is not None]
        for name in self.repo.config["remote"]:
            remote = self.repo.cloud.get_remote(name)
            found += [Store(f"remote {name}", str(remote.path), odb) for odb in (remote.odb, remote.legacy_odb)]
        return found

    def pin(self) -> None:
        """As `freshness.pin`."""
        cast(Callable[..., Any], self.repo.add)(["data"])

    def push(self, remote: str) -> None:
        """Bring the objects of data.dvc to a remote."""
        self.repo.push(targets=["data.dvc"], remote=remote)

    def data_name(self) -> str:
        """The object that data.dvc names."""
        pinned = yaml.safe_load((self.root / "data.dvc").read_text(encoding="utf-8"))
        return str(pinned["outs"][0]["md5"])

    def run_entries(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Every entry of DVC's run cache: what a stage once made, from what."""
        folder = Path(self.repo.cache.local.path).parents[1] / "runs"
        for file in sorted(path for path in folder.glob("*/*/*") if path.is_file()):
            try:
                entry = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError):
                continue
            if isinstance(entry, dict):
                yield file, cast(Mapping[str, Any], entry)

    def entries(self) -> list[Mapping[str, Any]]:
        """What stages were made from and made: of dvc.lock, and of the run cache."""
        return [*lock_entries(self.root).values(), *(entry for _, entry in self.run_entries())]


@contextmanager
def held(root: Path) -> Generator[Held]:
    """DVC's repository at `root`, for this process alone.

    Raises:
        FreshnessError: another DVC process works there, or DVC refuses for a reason that it names.
    """
    with opened(root) as repo, lock_repo(repo):
        yield Held(root, repo)


@contextmanager
def looked_at(root: Path) -> Generator[Held]:
    """DVC's repository at `root`, only to be read, beside whoever else works there.

    Raises:
        FreshnessError: DVC refuses for a reason that it names.
    """
    with opened(root) as repo:
        yield Held(root, repo)


def members(listing: bytes) -> dict[str, str]:
    """Relative path to object of each file of a folder, from the folder's own object; empty if it is none."""
    try:
        rows = json.loads(listing)
        return {str(row["relpath"]): str(row["md5"]) for row in rows}
    except (ValueError, KeyError, TypeError):
        return {}
