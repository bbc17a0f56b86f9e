"""Carrying out a plan: raw files written anew without the images, everything derived and every old object deleted.

Each step looks at what is still there, so that a killed takedown is continued by doing all of them again. Files are
replaced whole.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.records import RAW, write_table
from components.lineage.takedown import Left
from flows import settings
from flows.data_objects import FOLDER, Held, Store
from flows.lineage.takedown_bytes import Wanted, is_parquet, without
from flows.lineage.takedown_labels import gone_files, is_label_text, is_pairs_table, naming, rewrite_labels
from flows.lineage.takedown_plan import Plan
from flows.reports import write_durably
from flows.workspace import git

_MANIFEST = "MANIFEST.json"


def rewrite_raw(root: Path, plan: Plan, wanted: Wanted) -> None:
    """Write raw tables and labels without the images, delete image files, and have the manifest of data/ say it."""
    gone = gone_files(root, plan.raw)
    for path in plan.raw:
        file = root / path
        if not file.is_file():
            continue
        if is_parquet(file):
            table = pq.read_table(file)
            left = without(table, naming(wanted, file, gone) if is_pairs_table(file) else wanted)
            if left.num_rows < table.num_rows:
                _replace(file, left, is_baked=_is_baked(root / "data", path))
        elif is_label_text(file) and hashlib.sha256(file.read_bytes()).hexdigest() not in wanted.ids:
            rewrite_labels(file, naming(wanted, file, gone))
        else:
            file.unlink()
    _correct_manifest(root / "data", {path.removeprefix("data/") for path in plan.raw})


def delete_outputs(root: Path, plan: Plan) -> None:
    """Delete outputs and what lies below EASEL_HOME."""
    for path in [*(root / one for one in plan.outputs), *(Path(one) for one in plan.at_home)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def delete_objects(held: Held, plan: Plan) -> None:
    """Push the new data where the old ones were, then delete the plan's objects from every store."""
    for remote in plan.remotes:
        held.push(remote)
    gone = set(plan.objects)
    for store in held.stores():
        there = {name: path for name, path in store.names().items() if name in gone}
        # A folder's own object goes last: until then it tells which objects belong together.
        for name in sorted(there, key=lambda name: (name.endswith(FOLDER), name)):
            store.remove(there[name])
        if not store.is_cache:
            store.forget()
    for file, entry in held.run_entries():
        if any(str(out.get("md5")) in gone for out in entry.get("outs", ())):
            file.unlink(missing_ok=True)


def unreached(root: Path, plan: Plan, stores: Sequence[Store]) -> tuple[Left, ...]:
    """Where copies may remain: git's history, old versions in a bucket, MLflow, files that we cannot edit, backups."""
    found = [
        Left(place=path, why="holds or names the image where we cannot write it anew; do it") for path in plan.closed
    ]
    tracked = [
        path for store in stores if Path(store.address).is_relative_to(root)
        for path in git(root, "log", "--all", "--format=", "--name-only", "--", store.address).split()
        if "".join(PurePosixPath(path).parts[-2:]) in plan.objects
    ]  # fmt: skip
    for path in sorted(set(tracked)):
        commit = git(root, "log", "--all", "--format=%h", "--max-count=1", "--diff-filter=A", "--", path)
        why = f"git's history holds it since {commit}, and so does every clone; rewrite the history to remove it"
        left = Left(place=f"git: {path}", why=why)
        found.append(left)
    why = "deleted; if it keeps old versions of objects, or copies of itself, delete these there"
    found += [Left(place=f"DVC {name}", why=why) for name in sorted({one.name for one in stores if not one.is_local})]
    if settings.tracking_uri(root).startswith("sqlite:"):
        place = str(settings.tracking_artifacts(root))
        why = "pages that may show it and copies of it are gone; one cut, or drawn over, is not recognised"
    else:
        place = settings.tracking_uri(root)
        why = "runs may keep pages and pictures of it, on a server that was not searched; look through their artifacts"
    found.append(Left(place=f"MLflow: {place}", why=why))
    found.append(Left(place="backups, clones and other people's copies", why="out of this workspace's reach"))
    return tuple(found)


def _replace(file: Path, table: pa.Table, *, is_baked: bool) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    if is_baked:  # as `components.data.sources.bake` writes them
        pq.write_table(
            table, temporary, row_group_size=512, compression="zstd", use_dictionary=False,
            write_statistics=False, store_schema=False,
        )  # fmt: skip
    elif table.schema.remove_metadata() == RAW:
        write_table(table, temporary)
    else:
        pq.write_table(table, temporary, compression="zstd")
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(file)


def _is_baked(data: Path, path: str) -> bool:
    return any(part["name"] == path.removeprefix("data/") for part in _manifest(data).get("parts", ()))


def _manifest(data: Path) -> dict[str, Any]:
    file = data / _MANIFEST
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _correct_manifest(data: Path, names: set[str]) -> None:
    """Sums, sizes and counts of the parts in `names` as they now are, and the texts that are written from them."""
    manifest = _manifest(data)
    parts = [part for part in manifest.get("parts", ()) if part["name"] in names and (data / part["name"]).is_file()]
    if not parts:
        return
    texts = _texts(manifest)
    generated = [name for name, text in texts.items() if _reads(data / name, text)]
    for part in parts:
        content = (data / part["name"]).read_bytes()
        rows = pq.read_metadata(data / part["name"]).num_rows
        left_out = Counter(part["left_out"])
        left_out["withdrawn"] += part["rows"] - rows
        part |= {"rows": rows, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        part["left_out"] = dict(sorted((+left_out).items()))
    for name in ("rows", "bytes"):
        manifest[name] = sum(part[name] for part in manifest["parts"])
    for column in manifest["counts"]:
        counter = Counter[str]()
        for part in manifest["parts"]:
            values = pq.read_table(data / part["name"], columns=[column]).column(column).to_pylist()
            counter.update(value or "none" for value in values)
        manifest["counts"][column] = dict(sorted(counter.items()))
    for name in generated:
        write_durably(data / name, _texts(manifest)[name])
    write_durably(data / _MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _texts(manifest: dict[str, Any]) -> dict[str, str]:
    """Card and credits of the embedded data; none for another manifest."""
    from components.data.sources.card import attribution, data_card

    try:
        return {"README.md": data_card(manifest), "ATTRIBUTION.md": attribution(manifest)}
    except (KeyError, TypeError):
        return {}


def _reads(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text
