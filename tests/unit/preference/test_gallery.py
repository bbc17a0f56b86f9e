import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.config import DecodeLimits
from components.data.errors import DataError
from components.preference.gallery import damaged_pairs, pictures_in

LIMITS = DecodeLimits(10**6, 10**6, 1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for number in range(5):
        rough = Image.fromarray(draw.integers(0, 256, (6, 6, 3)).astype(np.uint8))
        rough.resize((48, 40), Image.Resampling.BICUBIC).save(tmp_path / f"{number}.png")
    return tmp_path


def test_images_are_named_by_their_bytes_and_equal_files_are_one(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "notes.txt").write_text("not an image")
    found = pictures_in(folder, LIMITS)
    assert sorted(found) == sorted(hashlib.sha256((folder / f"{k}.png").read_bytes()).hexdigest() for k in range(5))
    assert {hashlib.sha256(picture.read()).hexdigest() for picture in found.values()} == set(found)


def test_the_worse_of_a_pair_differs_and_no_name_tells_which_it_is(folder: Path) -> None:
    shown, known = damaged_pairs(pictures_in(folder, LIMITS), 4, 0, LIMITS)
    assert len(known) == 4
    assert len(shown) == 8
    for pair in known:
        better, worse = (
            np.asarray(Image.open(io.BytesIO(shown[name].read())), np.float64) for name in (pair.better, pair.worse)
        )
        assert better.shape == worse.shape
        assert np.abs(better - worse).mean() > 3
        assert hashlib.sha256(shown[pair.worse].read()).hexdigest() == pair.worse
    assert damaged_pairs(pictures_in(folder, LIMITS), 4, 0, LIMITS)[1] == known
    assert len(damaged_pairs(pictures_in(folder, LIMITS), 40, 0, LIMITS)[1]) == 5
    assert damaged_pairs(pictures_in(folder, LIMITS), 0, 0, LIMITS) == ({}, [])


def test_folders_that_cannot_be_judged_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        pictures_in(tmp_path / "gone", LIMITS)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    with pytest.raises(DataError, match=r"bad\.jpg: .*; take the file out"):
        pictures_in(folder, LIMITS)
    (tmp_path / "few").mkdir()
    with pytest.raises(DataError, match="0 different images"):
        pictures_in(tmp_path / "few", LIMITS)
