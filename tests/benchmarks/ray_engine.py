"""The same plan of ingest in threads and on a local Ray cluster of two workers."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from harness import Figure, at_most, in_child
from pictures import write_folder

NUM_IMAGES = 240
ROOT = Path(__file__).resolve().parents[2]


def measure(folder: Path) -> list[Figure]:
    in_child(write_folder, folder / "files", NUM_IMAGES, 1024, 768)
    threads = in_child(in_threads, folder / "files", folder / "threads.parquet").value
    ray = in_child(on_ray, folder / "files", folder / "ray.parquet").value
    same = pq.read_table(folder / "threads.parquet").equals(pq.read_table(folder / "ray.parquet"))
    return [
        Figure("inspecting 1024 x 768 JPEGs in threads", NUM_IMAGES / threads, "images/s"),
        Figure("inspecting 1024 x 768 JPEGs on two Ray workers of one machine", NUM_IMAGES / ray, "images/s"),
        at_most("tables that differ", float(not same), "", 0),
    ]


def in_threads(files: Path, out: Path) -> float:
    """Seconds to inspect the files, after a first run on a few."""
    from components.data import intake, records
    from components.data.config import DecodeLimits, Intake

    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["ingest"]
    how = Intake(**given["intake"] | {"part_images": 4 * NUM_IMAGES, "batch_size": 32})
    rows = [
        {"source_id": file.name.encode(), "image": file.read_bytes(), "title_en": b"a thing"}
        for file in sorted(files.iterdir())
    ]
    raw = out.with_name("raw.parquet")
    records.write_table(pa.Table.from_pylist(rows, schema=records.RAW), raw)
    table = intake.read_raw_part(raw)
    intake.inspect_rows(table.slice(0, 8), how, DecodeLimits(**given["limits"]))
    started = time.perf_counter()
    inspected = intake.inspect_rows(table, how, DecodeLimits(**given["limits"]))
    seconds = time.perf_counter() - started
    records.write_table(inspected, out)
    return seconds


def on_ray(files: Path, out: Path) -> float:
    """`in_threads`, on a cluster of a head without work and two workers."""
    import ray
    from ray.cluster_utils import Cluster

    from components.data.engine import on_runner

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = cluster.address
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        with on_runner("ray"):
            return in_threads(files, out)
    finally:
        ray.shutdown()
        cluster.shutdown()
