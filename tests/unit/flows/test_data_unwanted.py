"""The commands that write the lists of unwanted images: what they write is what `filter_images` reads."""

import io
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from components.data.config import PinnedFile
from components.data.decontamination import FINGERPRINTS
from components.data.opt_out import read_list
from components.data.pinned import pinned_path
from components.data.records import read_table
from flows.data_commands import data_app

RUNNER = CliRunner()


def folder_of_images(folder: Path, count: int) -> Path:
    folder.mkdir()
    for seed in range(count):
        out = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(out, "PNG")
        (folder / f"{seed}.png").write_bytes(out.getvalue())
    return folder


def test_the_printed_line_names_a_list_that_is_read_back(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path / "withdrawn", 2)
    given = [
        "opt-out",
        str(tmp_path / "list"),
        "--salt",
        "s",
        "--image",
        str(images),
        "--address",
        "https://a.example/b",
    ]
    result = RUNNER.invoke(data_app, given)
    assert result.exit_code == 0, result.output
    listed = read_list(pinned_path(PinnedFile(**yaml.safe_load(result.output.splitlines()[-1])["opt_out"])))
    assert len(listed.digests) == 3
    assert listed.names("https://a.example/b")


def test_fingerprints_are_written_of_all_that_is_in_a_folder(tmp_path: Path) -> None:
    images = folder_of_images(tmp_path / "benchmark", 70)
    (images / "notes.txt").write_text("no image")
    result = RUNNER.invoke(data_app, ["fingerprint", str(images), "--target", str(tmp_path / "f.parquet")])
    assert result.exit_code == 0, result.output
    assert "71 fingerprints, 1 of them by bytes alone" in result.output
    table = read_table(tmp_path / "f.parquet", FINGERPRINTS)
    assert len(set(table["sample_id"].to_pylist())) == 71


@pytest.mark.parametrize(
    "given", [["opt-out", "{}/list", "--salt", "two words"], ["fingerprint", "{}/no", "--target", "t"]]
)
def test_a_mistake_is_one_line(given: list[str], tmp_path: Path) -> None:
    result = RUNNER.invoke(data_app, [part.format(tmp_path) for part in given])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "allowed: one word" in result.stderr or "no such file or folder" in result.stderr
