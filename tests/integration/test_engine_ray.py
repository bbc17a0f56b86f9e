"""The data engine on a real Ray cluster of two workers: the table that threads give, and both workers at work."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.engine import map_batches

NUM_ROWS = 64

# A process of its own: Daft and Ray are set up once per process, and the cluster ends with it.
ON_RAY = """
import os, sys
import pyarrow.parquet as pq
import ray
from ray.cluster_utils import Cluster
from components.data.engine import map_batches, on_runner
from components.data.phash import HASH_PX
sys.path.insert(0, sys.argv[3])
import ray_batches

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
for _ in range(2):
    cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
ray.init(address=cluster.address, runtime_env={"env_vars": {"PYTHONPATH": sys.argv[3]}}, log_to_driver=False)
table = pq.read_table(sys.argv[1])
with on_runner("ray"):
    out = map_batches(table, ray_batches.measure, ray_batches.SCHEMA, batch_size=8)
    where = map_batches(table, ray_batches.place, ray_batches.PLACE, batch_size=4)
pq.write_table(out.append_column("node", where["node"]), sys.argv[2])
ray.shutdown()
cluster.shutdown()
"""

BATCHES = """
import time
import numpy as np
import pyarrow as pa
import ray
from components.data.phash import perceptual_hash

SCHEMA = pa.schema([("phash", pa.uint64()), ("mean", pa.float64())])
PLACE = pa.schema([("node", pa.string())])

def measure(batch):
    pixels = np.stack([np.frombuffer(data.as_py(), np.uint8) for data in batch["pixels"]]).reshape(-1, 32, 32, 3)
    return pa.table([pa.array(perceptual_hash(pixels)), pa.array(pixels.mean(axis=(1, 2, 3)))], schema=SCHEMA)

def place(batch):
    time.sleep(0.2)
    return pa.table([[ray.get_runtime_context().get_node_id()] * batch.num_rows], schema=PLACE)
"""


@pytest.mark.slow
def test_two_ray_workers_give_the_table_that_threads_give(tmp_path: Path) -> None:
    (tmp_path / "ray_batches.py").write_text(BATCHES, encoding="utf-8")
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, 32 * 32 * 3, dtype=np.uint8).tobytes() for _ in range(NUM_ROWS)]
    table = pa.table({"pixels": pa.array(pixels, pa.binary())})
    pq.write_table(table, tmp_path / "in.parquet")
    command = [sys.executable, "-c", ON_RAY, *(str(tmp_path / name) for name in ("in.parquet", "out.parquet", ""))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    out = pq.read_table(tmp_path / "out.parquet")
    assert len(set(out["node"].to_pylist())) == 2

    namespace: dict[str, object] = {}
    exec(BATCHES, namespace)
    expected = map_batches(table, namespace["measure"], namespace["SCHEMA"], batch_size=16)
    assert out.drop_columns("node").equals(expected)
