"""Write an export: samples in one layout, and beside them the card, the attributions and the description."""

import hashlib
import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.data.exports import card, credits, croissant, huggingface, webdataset
from components.data.exports.samples import Choice, MainCaption, Samples

Layout = Literal["webdataset", "parquet"]
_LAYOUTS: dict[Layout, tuple[str, str]] = {
    "parquet": (
        "data/*.parquet",
        "Parquet files for `datasets.load_dataset`: `image` beside its `text` and all captions.",
    ),
    "webdataset": (
        "*.tar",
        "WebDataset shards: for each sample the image as received, its facts (.json), its text (.txt).",
    ),
}


@dataclass(frozen=True)
class Request:
    """What to export, how, and as what. `published` is an ISO date; `shard_rows` is the most samples of one file."""

    layout: Layout
    choice: Choice
    main: MainCaption
    shard_rows: int
    name: str
    version: str
    published: str


@dataclass(frozen=True)
class Written:
    """What was written."""

    num_samples: int
    num_files: int
    num_bytes: int


def write_export(tables_dir: Path, images_dir: Path, output: Path, request: Request) -> Written:
    """Make the folder `output`, whole or not at all.

    Raises:
        ValueError: `output` holds something, or `shard_rows` is not positive.
        DataError: tables or images are missing or do not belong together.
    """
    if request.shard_rows < 1:
        raise ValueError(f"shard_rows is {request.shard_rows}; allowed: 1 or more")
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise ValueError(f"{output}: is not an empty folder; name one that is not there yet")
    samples = Samples(tables_dir, images_dir, request.choice, request.main)
    making = output.absolute().with_name(f".{output.name}.{os.getpid()}")
    making.mkdir(parents=True)
    try:
        files = _write_samples(making, samples, request)
        _write_descriptions(making, samples, files, request)
        if output.is_dir():
            output.rmdir()
        making.replace(output)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Written(samples.rows.num_rows, len(files), sum(file.num_bytes for file in files))


def _write_samples(folder: Path, samples: Samples, request: Request) -> list[croissant.File]:
    batches = samples.batches(request.shard_rows)
    match request.layout:
        case "webdataset":
            written = webdataset.write_shards(folder, batches)
        case "parquet":
            num_files = math.ceil(samples.rows.num_rows / request.shard_rows)
            written = huggingface.write_parquet(folder, batches, request.choice, num_files)
    return [_described(file, folder) for file in written]


def _write_descriptions(folder: Path, samples: Samples, files: list[croissant.File], request: Request) -> None:
    rows = samples.rows
    found = credits.credits_of(rows)
    languages = sorted({caption["language"] for listed in rows["captions"].to_pylist() for caption in listed})
    whose = "training images of the selection" if request.choice == "train" else "images that no filter dropped"
    about = card.About(
        name=request.name,
        version=request.version,
        description=f"{rows.num_rows} captioned images: the {whose}, with categories, scores, licences and makers.",
        published=request.published,
        languages=tuple(languages),
        split=request.choice,
        num_samples=rows.num_rows,
        credits=tuple(found),
    )
    pattern, layout = _LAYOUTS[request.layout]
    described = (
        croissant.describe_parquet(about, files)
        if request.layout == "parquet"
        else croissant.describe_webdataset(about, files, sorted(rows["format"].unique().to_pylist()))
    )
    (folder / "README.md").write_text(card.data_card(about, pattern, layout), encoding="utf-8")
    (folder / "ATTRIBUTION.md").write_text(credits.attribution_page(found), encoding="utf-8")
    text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    (folder / "croissant.json").write_text(text, encoding="utf-8")


def _described(file: Path, folder: Path) -> croissant.File:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return croissant.File(file.relative_to(folder).as_posix(), digest, file.stat().st_size)
