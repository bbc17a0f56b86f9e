"""Ingest of 1024 x 768 JPEGs against img2dataset's resize path and against a Daft pipeline that decodes at full size.

The same files, the same cores, views of 256 x 192 from each; each side runs twice, in turn, and the faster counts.

* Ours is `easel data land` (every file read, hashed, and written into raw parts, synchronised with the disk) and then
  the stage `ingest`: parts read, bytes hashed, headers checked, views decoded, their pixels hashed, thirteen measures
  taken (but `repetition`, which the default leaves out), catalogue and quarantine written, and the kept images, as they
  were received, written once more. Ratios are told of the stage alone and of both.
* img2dataset's side is its `Resizer` alone, in as many processes as there are cores: files read, decoded at full size,
  resized and encoded as JPEG in memory. Nothing is hashed, measured or written.
* Daft's reads, decodes and resizes. Nothing is encoded, hashed, measured or written.

Processor time per image hangs less on what else the machine does than seconds do. Of ours it is told what goes where,
in one thread.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from harness import Figure, at_least, in_child
from pictures import write_folder

NUM_IMAGES, NUM_APART = 960, 64
SIZE = 1024, 768
VIEW_PX = 256
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "easel-bench" / "img2dataset"


def measure(folder: Path) -> list[Figure]:
    files = folder / "files"
    in_child(write_folder, files, NUM_IMAGES, *SIZE)
    kilobytes = sum(file.stat().st_size for file in files.iterdir()) / NUM_IMAGES / 1000
    python = img2dataset_python()
    runs: dict[str, list[Took]] = {"landing": [], "ingest": [], "img2dataset": [], "daft": []}
    for turn in range(2):
        landing, ingest = in_child(land_and_ingest, files, folder / f"ours-{turn}").value
        runs["landing"].append(landing)
        runs["ingest"].append(ingest)
        runs["daft"].append(in_child(daft_at_full_size, files).value)
        runs["img2dataset"].append(img2dataset(python, files))
    took = {name: min(one.seconds for one in ran) for name, ran in runs.items()}
    both = took["landing"] + took["ingest"]
    cpu = {name: min(one.cpu_seconds for one in ran) / NUM_IMAGES * 1e3 for name, ran in runs.items()}
    return [
        Figure("size of a file", kilobytes, "kB"),
        Figure("ingest", NUM_IMAGES / took["ingest"], "images/s"),
        Figure("landing, before it", NUM_IMAGES / took["landing"], "images/s"),
        Figure("img2dataset, resize path", NUM_IMAGES / took["img2dataset"], "images/s"),
        Figure("Daft, decoding at full size", NUM_IMAGES / took["daft"], "images/s"),
        at_least("ingest over img2dataset", took["img2dataset"] / took["ingest"], "times", 3),
        at_least("landing and ingest over img2dataset", took["img2dataset"] / both, "times", 3),
        at_least("ingest over Daft at full size", took["daft"] / took["ingest"], "times", 3),
        at_least("landing and ingest over Daft at full size", took["daft"] / both, "times", 3),
        *(Figure(f"processor time: {name}", value, "ms/image") for name, value in cpu.items()),
        *(Figure(f"in one thread: {what}", value, "ms/image") for what, value in in_child(costs_apart, files).value),
    ]


class Took(NamedTuple):
    """Time on the clock, and of the processor in all threads and processes."""

    seconds: float
    cpu_seconds: float


def timed(function: Callable[[], Any]) -> Took:
    started, cpu_started = time.perf_counter(), time.process_time()
    function()
    return Took(time.perf_counter() - started, time.process_time() - cpu_started)


def land_and_ingest(files: Path, folder: Path) -> tuple[Took, Took]:
    """What each took, by the committed parameters; a few files go first, to load libraries and start threads."""
    import pyarrow.parquet as pq

    from components.data.landing import land
    from components.data.readers import open_reader
    from flows.stages.ingest import Params, ingest

    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["ingest"] | {"pools": ["pool"]}
    given["intake"]["require_words"] = False  # the files have none
    few = folder / "files"
    few.mkdir(parents=True)
    for file in sorted(files.iterdir())[:8]:
        (few / file.name).hardlink_to(file)

    def run(source: Path, to: Path) -> tuple[Took, Took]:
        out = {name: to / name for name in ("images", "catalogue", "quarantine", "refusals")}
        pool, params = to / "raw" / "pool", Params.model_validate(given)
        landing = timed(lambda: land(open_reader(str(source), "folder"), pool, origin=str(source)))
        took = timed(lambda: ingest(params, raw=to / "raw", **out))
        assert pq.read_metadata(out["catalogue"]).num_rows == len(list(source.iterdir()))
        return landing, took

    run(few, folder / "few")
    return run(files, folder / "all")


def costs_apart(files: Path) -> list[tuple[str, float]]:
    """Milliseconds of processor time per image of what `ingest` does, and of decoding at full size, in one thread."""
    import cv2

    from components.data import decode, intake, jpeg, measures
    from components.data.config import DecodeLimits

    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["ingest"]
    limits = DecodeLimits(**given["limits"])
    data = [file.read_bytes() for file in sorted(files.iterdir())[:NUM_APART]]
    unnamed = [None] * len(data)
    cv2.setNumThreads(1)
    views = [decode.decode_image(image, limits, VIEW_PX).pixels_u8 for image in data]

    def cost(function: Callable[[Any], Any], things: list[Any]) -> float:
        best = float("inf")
        for _ in range(5):
            started = time.process_time()
            for thing in things:
                function(thing)
            best = min(best, time.process_time() - started)
        return best / len(data) * 1e3

    hashed = cost(hashlib.sha256, data) + cost(hashlib.sha256, [view.data for view in views])
    decoded = cost(lambda image: decode.decode_image(image, limits, VIEW_PX), data)
    return [
        ("inspecting an image", cost(lambda data: intake.inspect_images(data, unnamed, limits, False), [data])),
        ("of it, header and decoding at a quarter", decoded),
        ("of it, hashing bytes and pixels", hashed),
        ("of it, measures", cost(lambda views: measures.measure_views(views, False), [views])),
        ("decoding alone at an eighth", cost(lambda image: jpeg.decode_whole(image, 8), data)),
        ("decoding alone at a quarter", cost(lambda image: jpeg.decode_whole(image, 4), data)),
        ("decoding alone at full size", cost(lambda image: jpeg.decode_whole(image, 1), data)),
    ]


def daft_at_full_size(files: Path) -> Took:
    """What it took: Daft's own download, decode and resize."""
    import daft

    def run(names: list[Path]) -> None:
        frame = daft.from_pydict({"path": [str(name) for name in names]})
        image = daft.functions.decode_image(daft.functions.download(frame["path"]))
        resized = daft.functions.resize(image, VIEW_PX, VIEW_PX * SIZE[1] // SIZE[0])
        assert frame.select(resized.alias("image")).collect().count_rows() == len(names)

    names = sorted(files.iterdir())
    run(names[:8])
    return timed(lambda: run(names))


def img2dataset(python: Path, files: Path) -> Took:
    script = Path(__file__).with_name("img2dataset_side.py")
    cores = len(os.sched_getaffinity(0))
    command = [str(python), str(script), str(files), str(cores), str(VIEW_PX)]
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def img2dataset_python() -> Path:
    """The interpreter of img2dataset's own environment, made once: it wants older libraries than ours."""
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / "ready"
    if not ready.exists():
        sys.stdout.write(f"installing img2dataset into {ENVIRONMENT} (once)\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "img2dataset"], check=True)
        ready.touch()
    return python
