"""`kill -9` in the middle of encoding: what was finished is found again, and the result is that of a quiet run."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig

IDS = [f"{number:03d}" for number in range(40)]
SCRIPT = """
import os, signal, sys
from pathlib import Path
import pyarrow as pa
from components.data.config import DecodeLimits
from components.data.part_store import open_store
from components.training import encoded_parts

home, num_parts = Path(sys.argv[1]), int(sys.argv[2])
encoded_parts.PART_IMAGES = 5
ids = sorted(file.stem for file in (home / "images").iterdir())

def read(sample_ids):
    global num_parts
    if num_parts == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    num_parts -= 1
    return pa.table({"bytes": [(home / "images" / f"{one}.png").read_bytes() for one in sample_ids]})

samples = pa.table({"sample_id": ids, "width": [40] * len(ids), "height": [32] * len(ids)})
limits = DecodeLimits(10_000, 100_000, 100.0)
with open_store(home / "parts", "code") as store:
    pictures = encoded_parts.pictures_of(samples, read, (32,), 4.0)
    (found,) = encoded_parts.encode_pictures(pictures, home / "autoencoder", "crop", limits, 4, lambda _: None)
    (part,) = found.values()
    print(store.num_found, store.num_made, part.latents.sum(dtype="float64"), part.latents.tobytes().hex())
"""


def encode(home: Path, num_parts: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(home), str(num_parts)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval()
    autoencoder.save_pretrained(tmp_path / "autoencoder")
    (tmp_path / "images").mkdir()
    for number, one in enumerate(IDS):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 40, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        (tmp_path / "images" / f"{one}.png").write_bytes(buffer.getvalue())
    return tmp_path


def test_a_killed_encode_loses_no_finished_part(home: Path) -> None:
    killed = encode(home, 2)
    assert killed.returncode == -signal.SIGKILL
    resumed = encode(home, -1)
    assert resumed.returncode == 0, resumed.stderr
    num_found, num_made, *result = resumed.stdout.split()
    assert int(num_found) == 2
    assert int(num_made) > 0
    (home / "parts").rename(home / "of_the_killed_run")
    quiet = encode(home, -1).stdout.split()
    assert quiet[:2] == ["0", str(2 + int(num_made))]
    assert quiet[2:] == result
