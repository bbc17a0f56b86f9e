"""What must go: raw files, outputs, finished parts and DVC's objects that hold images, or that were derived from them.

A table that holds or names an image goes, and with it the tensors beside it, whose rows it names. A page goes when one
of the things it was made from goes, since it shows scaled copies that nothing can recognise. Weights stay: what becomes
of models is decided and recorded, not deleted.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from components.lineage.takedown import Deleted
from flows import settings
from flows.data_objects import FOLDER, Held, Store, members
from flows.declaration import MADE_DIR
from flows.freshness import lock_entries
from flows.lineage.takedown_bytes import Holding, Wanted, count_rows, holding, is_page, is_parquet, is_tensors
from flows.lineage.takedown_labels import LabelsError, gone_files, naming, num_labels
from flows.lineage.takedown_logged import Showing, logged_files

MODELS = f"{MADE_DIR}/models/"
KEPT_AT_HOME = ("mlflow", "prefect", "ledger", "takedowns", "checkpoints", "parts")
DERIVED = {"captions": "captions", "latents": "latents", "pairs": "preference pairs", "features": "features"}


@dataclass
class Plan:
    """Paths are relative to the workspace, or absolute where they lie elsewhere; objects by their names in DVC.

    Args:
        raw: files below data/ to write anew without the images, or labels of them; deleted where they are nothing else.
        outputs: outputs of stages, whole.
        at_home: files below EASEL_HOME.
        objects: in every store.
        remotes: those that held the pinned data, and shall hold the new ones.
        closed: files that hold or name an image and cannot be written anew by us.
        derived: rows made from the images, by kind.
        places: the objects of each store that go. sizes: bytes that go or are written anew, by place.
    """

    raw: list[str] = field(default_factory=list[str])
    outputs: list[str] = field(default_factory=list[str])
    at_home: list[str] = field(default_factory=list[str])
    objects: list[str] = field(default_factory=list[str])
    remotes: list[str] = field(default_factory=list[str])
    closed: list[str] = field(default_factory=list[str])
    derived: dict[str, int] = field(default_factory=dict[str, int])
    places: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    sizes: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not (self.raw or self.outputs or self.at_home or self.objects)

    def joined(self, earlier: Mapping[str, Any]) -> "Plan":
        """This plan with what an earlier one, interrupted, already knew."""
        mine = asdict(self)
        lists = {key: sorted({*value, *earlier[key]}) for key, value in mine.items() if isinstance(value, list)}
        places = {
            name: sorted({*self.places.get(name, ()), *earlier["places"].get(name, ())})
            for name in {**self.places, **earlier["places"]}
        }
        sizes = {**self.sizes, **earlier["sizes"]}
        return Plan(**lists, derived={**self.derived, **earlier["derived"]}, places=places, sizes=sizes)

    def deleted(self) -> tuple[Deleted, ...]:
        """The plan as a receipt tells it once it was carried out."""
        rows: list[tuple[str, Literal["rewritten", "deleted"], list[str]]] = [
            ("data/", "rewritten", self.raw),
            (f"{MADE_DIR}/", "deleted", self.outputs),
            ("EASEL_HOME", "deleted", self.at_home),
            *((f"DVC {name}", "deleted", names) for name, names in sorted(self.places.items())),
        ]
        return tuple(
            Deleted(place=place, kind=kind, names=tuple(names), size=self.sizes.get(place, 0))
            for place, kind, names in rows
            if names
        )


def plan(held: Held, wanted: Wanted, showing: Showing | None = None) -> Plan:
    """Everything that must go, wherever it lies; images found on the way are kept in `wanted`.

    `showing` says which of MLflow's runs may show an image in a page or a sheet.
    """
    root = held.root
    found = Plan()
    for path in _files(root / "data"):
        if kind := holding(path, wanted):
            can_go = is_parquet(path) or (kind == "image" and _is_image_itself(path, wanted))
            (found.raw if can_go else found.closed).append(path.relative_to(root).as_posix())
    labels = _add_labels(root, found, wanted)
    found.outputs = _outputs(root, wanted, is_raw_hit=bool(found.raw))
    found.derived |= _derived(root, found.outputs, wanted)
    stores = held.stores()
    found.objects = sorted(_objects(stores, held.entries(), wanted, labels))
    is_hit = not found.is_empty
    logged = logged_files(root, wanted, showing or Showing(), is_hit=is_hit)
    found.at_home = [str(path) for path in (*_at_home(root, wanted, is_hit=is_hit), *logged)]
    found.sizes |= {
        "data/": sum((root / path).stat().st_size for path in found.raw),
        f"{MADE_DIR}/": sum(file.stat().st_size for path in found.outputs for file in _of(root / path)),
        "EASEL_HOME": sum(Path(path).stat().st_size for path in found.at_home),
    }
    gone, pinned, sized = set(found.objects), held.data_name(), set[str]()
    for store in stores:
        there = store.names()
        if names := sorted(gone & there.keys()):
            found.places[store.name] = sorted({*found.places.get(store.name, ()), *names})
            paths = {there[name] for name in names} - sized  # a place's former layout contains its present one
            found.sizes[f"DVC {store.name}"] = found.sizes.get(f"DVC {store.name}", 0) + sum(map(store.size, paths))
            sized |= paths
        if not store.is_cache and pinned in there:
            found.remotes.append(store.name.removeprefix("remote "))
    return found


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _add_labels(root: Path, found: Plan, wanted: Wanted) -> set[str]:
    """Have the plan tell of files with people's word on the images; the names of their objects in DVC."""
    gone, objects = gone_files(root, found.raw), set[str]()
    for file in _files(root / "data"):
        path = file.relative_to(root).as_posix()
        if path in found.raw or path in found.closed:
            continue
        try:
            number = num_labels(file, naming(wanted, file, gone))
        except LabelsError:
            found.closed.append(path)
            continue
        if number:
            found.raw.append(path)
            found.derived["labels"] = found.derived.get("labels", 0) + number
            objects.add(hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest())
    return objects


def _is_image_itself(path: Path, wanted: Wanted) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() in wanted.ids


def _outputs(root: Path, wanted: Wanted, *, is_raw_hit: bool) -> list[str]:
    entries = lock_entries(root)
    known = {str(out["path"]): name for name, entry in entries.items() for out in entry.get("outs", ())}
    gone = {path for path in known if _output_holds(root / path, wanted, is_model=path.startswith(MODELS))}
    covered = [PurePosixPath(path) for path in known]
    for file in _files(root / MADE_DIR):  # what no finished stage wrote: left by a killed one
        path = PurePosixPath(file.relative_to(root).as_posix())
        if any(part.startswith(".making-") for part in path.parts):
            gone.add(str(PurePosixPath(*path.parts[:2])))
        elif not any(path.is_relative_to(one) for one in covered) and holding(file, wanted):
            gone.add(str(path))
    inputs = {name: {str(dep["path"]) for dep in entry.get("deps", ())} for name, entry in entries.items()}
    roots = {"data"} if is_raw_hit else set[str]()
    for path, stage in known.items():
        if inputs[stage] & (gone | roots) and any(is_page(file) for file in _of(root / path)):
            gone.add(path)
    return sorted(gone)


def _of(path: Path) -> list[Path]:
    return [path] if path.is_file() else list(_files(path))


def _output_holds(path: Path, wanted: Wanted, *, is_model: bool) -> bool:
    kinds = {holding(file, wanted) for file in _of(path)} if path.exists() else set[Holding]()
    return "image" in kinds or ("row" in kinds and not is_model)


def _derived(root: Path, outputs: Sequence[str], wanted: Wanted) -> dict[str, int]:
    counts = dict[str, int]()
    for path in outputs:
        kind = next((kind for word, kind in DERIVED.items() if word in PurePosixPath(path).name), "")
        if kind:
            counts[kind] = counts.get(kind, 0) + max((count_rows(file, wanted) for file in _of(root / path)), default=0)
    return counts


def _at_home(root: Path, wanted: Wanted, *, is_hit: bool) -> Iterator[Path]:
    """Finished parts and copies of images.

    With a hit elsewhere also parts of tensors, which do not say whose they are and are made again, and all pages.
    """
    home, parts = settings.home(root), settings.part_store(root)
    held = [file for file in _files(parts) if not is_tensors(file) and holding(file, wanted)]
    yield from held
    if is_hit or held:
        yield from (file for file in _files(parts) if is_tensors(file))
    for folder in sorted(path for path in home.glob("*") if path.is_dir() and path.name not in KEPT_AT_HOME):
        for file in _files(folder):
            if (is_hit and is_page(file)) or holding(file, wanted) == "image":
                yield file


def _objects(
    stores: Sequence[Store], entries: Sequence[Mapping[str, Any]], wanted: Wanted, labels: Collection[str]
) -> set[str]:
    places = dict[str, tuple[Store, str]]()
    for store in stores:
        for name, path in store.names().items():
            places.setdefault(name, (store, path))
    holds, tensors, pages, listings = _examined(places, wanted)
    gone = {name for name, kind in holds.items() if kind}
    gone -= _rows_of_models(entries, listings, holds)
    gone |= {name for name in labels if name in places}
    for name, listing in listings.items():
        hit = {PurePosixPath(path).parent for path, one in listing.items() if one in gone}
        if hit:
            gone |= {one for path, one in listing.items() if one in tensors and PurePosixPath(path).parent in hit}
            gone.add(name)
    return gone | _pages(entries, listings, pages, gone)


def _examined(
    places: Mapping[str, tuple[Store, str]], wanted: Wanted
) -> tuple[dict[str, Holding], set[str], set[str], dict[str, dict[str, str]]]:
    """What each object holds, which are tensors, which are pages, and what the folders list."""
    holds, tensors, pages, listings = dict[str, Holding](), set[str](), set[str](), dict[str, dict[str, str]]()
    others = list[str]()
    for name, (store, path) in places.items():
        with store.file(path) as file:
            if name.endswith(FOLDER):
                listings[name] = members(file.read_bytes())
            elif is_tensors(file):
                tensors.add(name)
            elif is_parquet(file):
                holds[name] = holding(file, wanted)
            else:
                others.append(name)
    for name in others:  # after the tables: what these hold is what other files are searched for
        store, path = places[name]
        with store.file(path) as file:
            holds[name] = holding(file, wanted)
            if is_page(file):
                pages.add(name)
    return holds, tensors, pages, listings


def _rows_of_models(
    entries: Sequence[Mapping[str, Any]], listings: Mapping[str, Mapping[str, str]], holds: Mapping[str, Holding]
) -> set[str]:
    """Tables beside weights that only name an image: they stay with the weights."""
    outs = [out for entry in entries for out in entry.get("outs", ()) if str(out["path"]).startswith(MODELS)]
    found = {one for out in outs for one in listings.get(str(out.get("md5")), {}).values()}
    return {one for one in found if holds.get(one) == "row"}


def _pages(
    entries: Sequence[Mapping[str, Any]], listings: Mapping[str, Mapping[str, str]], pages: set[str], gone: set[str]
) -> set[str]:
    """Pages, and the folders with them, of stages that read something that goes."""
    found = set[str]()
    for entry in entries:
        if not any(str(dep.get("md5")) in gone for dep in entry.get("deps", ())):
            continue
        for name in (str(out.get("md5")) for out in entry.get("outs", ())):
            own = {name, *listings.get(name, {}).values()}
            if shown := own & pages:
                found |= shown | {name}
    return found
