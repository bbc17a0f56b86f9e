"""Ingest of 1024 x 768 JPEGs against img2dataset's resize path and against a Daft pipeline that decodes at full size.

The same files, the same two cores, views of 256 x 192 from each. Ours reads, checks, hashes, decodes, measures and
writes the images it keeps; img2dataset reads, decodes, resizes and encodes again, as its workers do in as many
processes as there are cores; the Daft pipeline reads, decodes and resizes. Each runs twice, in turn; the faster counts.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import yaml
from harness import Figure, at_least, in_child
from pictures import write_folder

NUM_IMAGES = 240
SIZE = 1024, 768
VIEW_PX = 256
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "easel-bench" / "img2dataset"


def measure(folder: Path) -> list[Figure]:
    in_child(write_folder, folder / "files", NUM_IMAGES, *SIZE)
    kilobytes = sum(file.stat().st_size for file in (folder / "files").iterdir()) / NUM_IMAGES / 1000
    python = img2dataset_python()
    times: dict[str, list[float]] = {"ours": [], "img2dataset": [], "daft": []}
    for _ in range(2):
        times["ours"].append(in_child(ingest, folder / "files", folder / "part.parquet").value)
        times["daft"].append(in_child(daft_at_full_size, folder / "files").value)
        times["img2dataset"].append(img2dataset(python, folder / "files"))
    rate = {name: NUM_IMAGES / min(seconds) for name, seconds in times.items()}
    return [
        Figure("size of a file", kilobytes, "kB"),
        Figure("ingest", rate["ours"], "images/s"),
        Figure("img2dataset, resize path", rate["img2dataset"], "images/s"),
        Figure("Daft, decoding at full size", rate["daft"], "images/s"),
        at_least("ingest over img2dataset", rate["ours"] / rate["img2dataset"], "times", 3),
        at_least("ingest over Daft at full size", rate["ours"] / rate["daft"], "times", 3),
    ]


def ingest(files: Path, part: Path) -> float:
    """Seconds from the files to the catalogue's facts and the shard of kept images, by the committed parameters."""
    from components.data import intake, records
    from components.data.config import DecodeLimits, Intake

    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["ingest"]
    how, limits = Intake(**given["intake"]), DecodeLimits(**given["limits"])

    def run(names: list[Path]) -> None:
        rows = [
            {"source_id": file.name, "source": "bench", "image": file.read_bytes(), "title_en": "a thing"}
            for file in names
        ]
        raw = part.with_name("raw.parquet")
        records.write_table(pa.Table.from_pylist(rows, schema=records.RAW), raw)
        chosen = intake.read_raw_part(raw)
        inspected = intake.inspect_part(raw, 0, chosen, intake.inspect_rows(chosen, how, limits))
        records.write_table(intake.sound_images(chosen, inspected, 0), part)

    return timed(run, sorted(files.iterdir()))


def daft_at_full_size(files: Path) -> float:
    """Seconds of Daft's own download, decode and resize."""
    import daft

    def run(names: list[Path]) -> None:
        frame = daft.from_pydict({"path": [str(name) for name in names]})
        image = daft.functions.decode_image(daft.functions.download(frame["path"]))
        resized = daft.functions.resize(image, VIEW_PX, VIEW_PX * SIZE[1] // SIZE[0])
        assert frame.select(resized.alias("image")).collect().count_rows() == len(names)

    return timed(run, sorted(files.iterdir()))


def timed(run, names: list[Path]) -> float:
    """Seconds of `run` on all files, after one run on a few that loads libraries and starts threads."""
    run(names[:8])
    started = time.perf_counter()
    run(names)
    return time.perf_counter() - started


def img2dataset(python: Path, files: Path) -> float:
    script = Path(__file__).with_name("img2dataset_side.py")
    cores = len(os.sched_getaffinity(0))
    command = [str(python), str(script), str(files), str(cores), str(VIEW_PX)]
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


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
