"""Files that still lie in a workspace, held against what the records of a chain say of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.lineage.chain import BrokenError, Chain
from components.lineage.folder_digests import FolderError, Told, file_digest, folder_digests, tree_digest
from components.lineage.graph import Graph
from components.lineage.log import Ledger
from components.lineage.record import Item

FOLDERS = "folders/"
"""Where the ledger keeps the files of a folder, by the folder's digest: canonical JSON `{relative path: SHA-256}`."""


@dataclass(frozen=True)
class Held:
    """What was found: places as recorded, places no longer there, and places that hold what another record tells of."""

    same: tuple[str, ...]
    gone: tuple[str, ...]
    others: tuple[str, ...]
    num_bytes: int


def expected(chain: Chain, root: Path, skipped: Collection[str] = ()) -> Iterator[tuple[Path, list[Item]]]:
    """Every place of a chain in the workspace at `root`, and what the chain's records say lay there."""
    by_path = defaultdict[str, list[Item]](list)
    for item in chain.items:
        by_path[item.path].append(item)
    for path, items in by_path.items():
        parts = PurePosixPath(path)
        if path not in skipped and "://" not in path and not parts.is_absolute() and ".." not in parts.parts:
            yield root / path, items


def check_held(
    chain: Chain, graph: Graph, ledger: Ledger, root: Path, skipped: Collection[str] = (), tell: Told | None = None
) -> Held:
    """Read everything of the chain that lies below `root`; what is no longer there is told, and no fault.

    A place where another run of the ledger, or a takedown, has written since is told too.

    Raises:
        BrokenError: the first file that no record knows as it is.
    """
    same, gone, others, num_bytes = list[str](), list[str](), list[str](), 0
    for place, items in expected(chain, root, skipped):
        if not place.exists():
            gone.append(items[0].path)
            continue
        if not place.is_dir() and not place.is_file():  # a pipe would be read for ever
            raise BrokenError(items[0].path, "neither a file nor a folder; take it away")
        try:
            files = folder_digests(place, tell=tell) if place.is_dir() else {}
            found = tree_digest(files) if place.is_dir() else file_digest(place, tell)
        except FolderError as error:
            raise BrokenError(items[0].path, str(error)) from None
        if any(item.sha256 == found for item in items):
            same.append(items[0].path)
            num_bytes += items[0].size
        elif _is_explained(graph, items[0].path, found):
            others.append(items[0].path)
        else:
            raise _difference(ledger, items[-1], files, found)
    return Held(tuple(same), tuple(gone), tuple(others), num_bytes)


def files_of(ledger: Ledger, sha256: str) -> dict[str, str] | None:
    """The files of the folder with that digest, if the ledger keeps them."""
    data = ledger.blob(f"{FOLDERS}{sha256}")
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        return None
    return json.loads(data)


def _is_explained(graph: Graph, path: str, found: str) -> bool:
    """Whether another record wrote or read these bytes there, or a takedown left them."""
    takedowns = (record for record in graph.records if record.kind == "takedown")
    if any(record.decision.get("rewritten", {}).get(path) == found for record in takedowns):
        return True
    known = [*graph.with_output(path), *graph.with_input(path)]
    items = (item for record in known for item in (*record.outputs, *record.inputs))
    return any(item.path == path and item.sha256 == found for item in items)


def _difference(ledger: Ledger, item: Item, files: dict[str, str], found: str) -> BrokenError:
    """The first file of a folder that differs; the folder itself where the ledger does not keep its files."""
    recorded = files_of(ledger, item.sha256)
    advice = "`dvc checkout` brings back what was recorded, or run the stage that makes it again"
    if files and recorded is not None:
        name = next(one for one in sorted(recorded.keys() | files.keys()) if recorded.get(one) != files.get(one))
        was, now = recorded.get(name, "no such file"), files.get(name, "no such file")
        return BrokenError(f"{item.path}/{name}", f"recorded as {was}, found {now}; {advice}")
    return BrokenError(item.path, f"recorded as {item.sha256}, found {found}; {advice}")
