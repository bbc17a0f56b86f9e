"""A sample is found by its id, by its first digits and by its bytes, and all its rows are told."""

import hashlib
from pathlib import Path

import pytest

from components.data import records
from components.data.errors import DataError
from components.data.report.one_sample import describe_sample, find_sample
from components.data.report.tables import Tables

from .conftest import HOSTILE, replaced, sample_id


@pytest.fixture
def files(tables: Tables, tmp_path: Path) -> dict[str, Path]:
    names = ("catalogue", "verdicts", "categories", "captions", "scores", "selection")
    for name in names:
        records.write_table(getattr(tables, name), tmp_path / f"{name}.parquet")
    return {name: tmp_path / f"{name}.parquet" for name in names}


def test_an_id_and_its_first_digits_name_the_sample(files: dict[str, Path]) -> None:
    for given in (sample_id(7), sample_id(7)[:8], sample_id(7)[:6].upper()):
        assert find_sample(files["catalogue"], given) == sample_id(7)


def test_a_file_names_the_sample_of_its_bytes(tables: Tables, tmp_path: Path) -> None:
    file = tmp_path / "deadbeef"  # a name that could be an id: the file wins
    file.write_bytes(b"picture")
    digest = hashlib.sha256(b"picture").hexdigest()
    row = replaced(tables.catalogue.slice(0, 1), "sample_id", [digest])
    records.write_table(row, tmp_path / "catalogue.parquet")
    assert find_sample(tmp_path / "catalogue.parquet", str(file)) == digest


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("abc", "at least 6"),
        ("nothing.png", "is no file, and no sample's id"),
        ("0123456789", "no sample has that id"),
        ("../../etc", "is no file"),
    ],
)
def test_what_names_no_sample_is_one_clear_line(files: dict[str, Path], given: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        find_sample(files["catalogue"], given)
    assert "\n" not in str(error.value)


def test_first_digits_of_two_samples_are_refused(tables: Tables, tmp_path: Path) -> None:
    twins = replaced(tables.catalogue.slice(0, 2), "sample_id", ["ab12cd" + "0" * 58, "ab12cd" + "1" * 58])
    records.write_table(twins, tmp_path / "catalogue.parquet")
    with pytest.raises(DataError, match="2 samples begin so"):
        find_sample(tmp_path / "catalogue.parquet", "ab12cd")


def test_everything_known_is_told(files: dict[str, Path]) -> None:
    known = describe_sample(sample_id(11), files, Path("artifacts/images"))
    assert known["fate"] == "trained on, 1.14 times an epoch"
    assert known["catalogue"]["title_en"] == HOSTILE
    assert known["verdicts"]["kept"] is True
    assert known["categories"]["category"] == "animals"
    assert {row["kind"]: row["text"] for row in known["captions"]} == {"short": HOSTILE, "long": "abc" * 11}
    assert known["selection"]["expected_repeats"] == pytest.approx(8 / 7)
    assert known["place"] == {"file": "artifacts/images/part-00001.parquet", "row": 5}


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "dropped by the filter flat"),
        (1, f"dropped by the filter near_duplicate, as a repeat of {sample_id(11)}"),
        (3, "kept, without a caption"),
        (5, "kept, not selected"),
        (19, "held out (heldout_concept)"),
    ],
)
def test_the_fate_of_an_image_is_told_in_words(files: dict[str, Path], number: int, told: str) -> None:
    assert describe_sample(sample_id(number), files, Path("images"))["fate"] == told


def test_a_dropped_sample_has_its_verdict_and_what_is_not_made_yet_is_left_out(files: dict[str, Path]) -> None:
    files["scores"].unlink()
    known = describe_sample(sample_id(1), files, Path("images"))
    assert known["verdicts"]["duplicate_of"] == sample_id(11)
    assert not {"categories", "scores", "selection"} & set(known)
    assert known["captions"] == []
