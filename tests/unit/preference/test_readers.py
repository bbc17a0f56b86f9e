import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.errors import DataError
from components.preference.json_rows import rows_of_list
from components.preference.readers import Comparison, Layout, read_comparisons
from tests.unit.preference.published import LIMITS, pickapic_row, picture, write_hpd, write_lines, write_parquet


def read(place: Path, layout: Layout) -> list[Comparison]:
    return list(read_comparisons(place, layout, LIMITS))


def test_pick_a_pic_says_who_won_and_ties_and_rows_without_a_label(tmp_path: Path) -> None:
    rows = [
        pickapic_row("a fox", 1, 2, 1.0),
        pickapic_row("a fox", 3, 4, 0.0),
        pickapic_row("an owl", 5, 6, 0.5),
        pickapic_row("an owl", 7, 8, None),
        pickapic_row("an owl", 9, 9, 0.5, are_different=False),
    ]
    write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", rows[:3])
    write_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", rows[3:])
    found = read(tmp_path / "data", "pickapic")
    assert [one.prompt for one in found] == [row["caption"] for row in rows]
    assert [one.images for one in found] == [(row["jpg_0"], row["jpg_1"]) for row in rows]
    assert [one.scores for one in found[:3]] == [(1, 0), (0, 1), (0.5, 0.5)]
    assert [one.unused for one in found] == ["", "", "", "unlabelled", "repeated"]
    assert all(one.is_human and one.judge == "pickapic" for one in found)
    assert found[2].place.endswith("train-00000-of-00002.parquet, row 2")
    assert found[4].place.endswith("train-00001-of-00002.parquet, row 1")


def test_hpd_gives_pairs_to_train_on_and_whole_rankings_to_test_on(tmp_path: Path) -> None:
    train = write_hpd(
        tmp_path,
        "train",
        [{"prompt": "a fox", "image_path": ["00000001.jpg", "00000002.jpg"], "human_preference": [0, 1]}],
    )
    entry = {"prompt": "an owl", "image_path": ["3.jpg", "4.jpg", "5.jpg"], "rank": [2, 1, 3]}
    test = write_hpd(tmp_path, "test", [entry | {"human_preference": None, "raw_annotations": [], "user_hash": ["x"]}])
    (pair,), (ranking,) = read(train, "hpd"), read(test, "hpd")
    assert (pair.scores, pair.images) == ((0, 1), tuple(picture(k, kind="JPEG") for k in (1, 2)))
    assert ranking.scores == (-2, -1, -3)
    assert ranking.images == tuple(picture(k, kind="JPEG") for k in (3, 4, 5))
    assert all(one.is_human and one.judge == "hpd" for one in (pair, ranking))


def test_plain_lines_name_files_beside_them_and_say_what_they_know(tmp_path: Path) -> None:
    images = {"good.png": picture(1), "sub/bad.png": picture(2)}
    rows = [
        {"prompt": "a fox", "winner": "good.png", "loser": "sub/bad.png"},
        {"prompt": "狐狸", "winner": "sub/bad.png", "loser": "sub/../good.png", "margin": 0.25, "judge": "Ann",
         "is_human": True},
    ]  # fmt: skip
    first, second = read(write_lines(tmp_path / "pairs.jsonl", rows, images), "plain")
    assert (first.images, first.scores, first.judge, first.is_human) == (tuple(images.values()), (1, 0), "file", False)
    assert (second.prompt, second.images[1], second.scores) == ("狐狸", images["good.png"], (0.25, 0))
    assert (second.judge, second.is_human, second.place) == ("Ann", True, f"{tmp_path / 'pairs.jsonl'}, line 2")


@pytest.mark.parametrize("cell", [lambda data: data, lambda data: {"bytes": data, "path": None}])
def test_plain_parquet_holds_images_or_their_names(tmp_path: Path, cell: Callable[[bytes], Any]) -> None:
    held = write_parquet(
        tmp_path / "held.parquet", [{"prompt": "a fox", "winner": cell(picture(1)), "loser": cell(picture(2))}]
    )
    write_lines(tmp_path / "none.jsonl", [], {"1.png": picture(1), "2.png": picture(2)})
    named = write_parquet(
        tmp_path / "named.parquet", [{"prompt": "a fox", "winner": "1.png", "loser": "2.png", "margin": 2.0}]
    )
    (one,), (other,) = read(held, "plain"), read(named, "plain")
    assert one.images == other.images == (picture(1), picture(2))
    assert (one.scores, other.scores) == ((1, 0), (2, 0))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"winner": "../secret.png"}, r"image '\.\./secret\.png' lies outside"),
        ({"winner": "sub/../../secret.png"}, ".* lies outside"),
        ({"winner": "/etc/hostname"}, ".* lies outside"),
        ({"winner": "link.png"}, ".* lies outside"),
        ({"winner": "gone.png"}, r"there is no image 'gone\.png'"),
        ({"winner": ""}, "an image is called ''"),
        ({"winner": "a\0b"}, r"an image is called 'a\\x00b'"),
        ({"winner": 3}, "an image is called 3"),
        ({"winner": "sub"}, "there is no image 'sub'"),
        ({"winner": "empty.png"}, ".* holds no bytes"),
        ({"winner": "2.png"}, "two of its images are the same"),
        ({"winner": "copy_of_2.png"}, "two of its images are the same"),
        ({"prompt": None}, "'prompt' is missing"),
        ({"prompt": "  "}, "'prompt' is '  '"),
        ({"margin": -1}, "'margin' is -1.0; allowed: 0 or more"),
        ({"margin": "much"}, "'margin' is 'much'"),
        ({"margin": float("inf")}, "'margin' is inf"),
        ({"is_human": "yes"}, "'is_human' is 'yes'"),
        ({"judge": 4}, "'judge' is 4"),
        ({"winner": "new\nline\u202e.png"}, r"there is no image 'new\\nline"),
    ],
)
def test_a_row_that_cannot_be_meant_is_named_by_its_line(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    (tmp_path / "secret.png").write_bytes(picture(9))
    good = {"prompt": "a fox", "winner": "1.png", "loser": "2.png"}
    images = {
        "1.png": picture(1),
        "2.png": picture(2),
        "copy_of_2.png": picture(2),
        "empty.png": b"",
        "sub/3.png": b"x",
    }
    (tmp_path / "in").mkdir()
    file = write_lines(tmp_path / "in" / "pairs.jsonl", [good, {**good, **row}], images)
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match=rf"pairs\.jsonl, line 2: {told}") as error:
        read(file, "plain")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"label_0": 0.3}, r"row 2: labels are \(0\.3, 0\.0\)"),
        ({"label_0": 1.0, "label_1": 1.0}, "row 2: labels are"),
        ({"caption": None}, "row 2: 'caption' is missing"),
        ({"jpg_1": None}, "row 2: image jpg_1 holds no bytes"),
        ({"jpg_0": picture(2, kind="JPEG")}, "row 2: two of its images are the same"),
    ],
)
def test_a_row_of_pick_a_pic_that_cannot_be_is_named(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    rows = [pickapic_row("a fox", 1, 2, 1.0), pickapic_row("a fox", 3, 4, 1.0), pickapic_row("a fox", 1, 2, 1.0) | row]
    with pytest.raises(DataError, match=rf"train\.parquet, {told}"):
        read(write_parquet(tmp_path / "train.parquet", rows), "pickapic")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"image_path": ["1.jpg"]}, "'image_path' is no list of two"),
        ({"image_path": "1.jpg"}, "'image_path' is no list of two"),
        ({"human_preference": [1]}, "neither 'human_preference' nor 'rank' has one number"),
        ({"human_preference": None}, "neither 'human_preference' nor 'rank'"),
        ({"human_preference": [1, "0"]}, "'rank' is '0'"),
        ({"human_preference": None, "rank": [1, None]}, "'rank' is None"),
        ({"prompt": 1}, "'prompt' is 1"),
        ({"image_path": ["1.jpg", "../train.json"]}, "lies outside"),
        ({"image_path": ["1.jpg", "9.jpg"]}, r"there is no image '9\.jpg'"),
    ],
)
def test_an_entry_of_hpd_that_cannot_be_is_named(tmp_path: Path, entry: dict[str, Any], told: str) -> None:
    good = {"prompt": "a fox", "image_path": ["1.jpg", "2.jpg"], "human_preference": [1, 0]}
    file = write_hpd(tmp_path, "train", [good])
    file.write_text(json.dumps([good, good | entry]))
    with pytest.raises(DataError, match=rf"train\.json, entry 1: .*{told}"):
        read(file, "hpd")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"prompt": 1}', "not a JSON list"),
        ("", "not a JSON list"),
        ('[{"a": 1}, 3]', "entry 1: 3; allowed: an object"),
        ('[{"a": 1}', "entry 1: the list is cut short"),
        ('[{"a": 1} {"a": 2}]', "entry 1: the list is cut short"),
        ('[{"a": 1}, {"a": ', "entry 1: not readable as JSON"),
        ('[{"a": 1},]', "entry 1: not readable as JSON"),
        ("[" + "[" * 100_000, "entry 0: not readable as JSON"),
        ('[{"a": "\udcff"}]', "entry 0: not readable as JSON"),
    ],
)
def test_a_list_that_is_damaged_is_named_by_its_entry(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=rf"list\.json.*{told}") as error:
        list(rows_of_list(file))
    assert str(error.value).isprintable()


@pytest.mark.parametrize("entries", [[], [{"a": 1}], [{"text": "x" * (k * 131), "k": k} for k in range(200)]])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_is_read_as_json_reads_it(tmp_path: Path, entries: list[dict[str, Any]], indent: int | None) -> None:
    file = tmp_path / "list.json"
    file.write_text(" \n" + json.dumps(entries, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8-sig")
    assert [row for _, row in rows_of_list(file)] == entries


def test_a_long_list_is_not_held_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text("[" + ",".join(['{"text": "' + "x" * 20_000 + '"}'] * 1500) + "]")  # 30 MB
    tracemalloc.start()
    num_rows = sum(1 for _ in rows_of_list(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_rows == 1500
    assert peak < 12 << 20


@pytest.mark.parametrize(
    ("name", "layout", "told"),
    [
        ("gone.jsonl", "plain", r"gone\.jsonl: no such file"),
        ("folder", "pickapic", "folder: no such file, nor a folder with"),
        ("text.parquet", "pickapic", r"text\.parquet: not_parquet"),
        ("other.parquet", "pickapic", r"other\.parquet: column caption, jpg_0, .* is missing \(there: prompt\)"),
        ("cut.parquet", "plain", r"cut\.parquet, row group 0: corrupt_row_group"),
        ("latin.parquet", "plain", r"latin\.parquet, row 0: 'prompt' is not UTF-8"),
        ("alone.json", "hpd", r"alone\.json: its images are not there; unpack them into .*alone"),
    ],
)
def test_a_file_that_is_of_no_use_is_named(tmp_path: Path, name: str, layout: Layout, told: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.parquet").write_text("prompt,winner,loser")
    (tmp_path / "alone.json").write_text("[]")
    write_parquet(tmp_path / "other.parquet", [{"prompt": "a"}])
    row = {"prompt": "a fox", "winner": picture(1), "loser": picture(2)}
    whole = write_parquet(tmp_path / "whole.parquet", [row]).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:20] + b"\xff" * 40 + whole[60:])
    latin = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xe9\xff")]
    )
    bytes_of = {key: pa.array([row[key]]) for key in ("winner", "loser")}
    pq.write_table(pa.table({"prompt": latin, **bytes_of}), tmp_path / "latin.parquet")
    with pytest.raises(DataError, match=told) as error:
        read(tmp_path / name, layout)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("layout", ["pickapic", "hpd", "plain", "plain_parquet"])
def test_whatever_bytes_are_damaged_the_file_is_read_or_refused_in_one_line(tmp_path: Path, layout: str) -> None:
    if layout == "pickapic":
        rows = [pickapic_row("a fox", 2 * k, 2 * k + 1, 1.0) for k in range(4)]
        file = write_parquet(tmp_path / "train.parquet", rows)
    elif layout == "hpd":
        entry = {"prompt": "a fox", "image_path": ["1.jpg", "2.jpg"], "human_preference": [1, 0]}
        file = write_hpd(tmp_path, "train", [entry] * 4)
    else:
        row = {"prompt": "a fox", "winner": "1.png", "loser": "2.png", "margin": 0.5, "is_human": True}
        file = write_lines(tmp_path / "pairs.jsonl", [row] * 4, {"1.png": picture(1), "2.png": picture(2)})
        file = write_parquet(tmp_path / "pairs.parquet", [row] * 4) if layout == "plain_parquet" else file
    whole, draw = file.read_bytes(), np.random.default_rng(8)
    refusals = list[str]()
    of: Layout = "plain" if layout == "plain_parquet" else layout
    for _ in range(80):
        damaged = bytearray(whole)
        for place in draw.integers(len(whole), size=draw.integers(1, 4)):
            damaged[place] = draw.integers(256)
        file.write_bytes(bytes(damaged[: draw.integers(len(whole))] if draw.random() < 0.2 else damaged))
        try:
            read(file, of)
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) > 8
    assert all(told.isprintable() and len(told) < 1000 for told in refusals)
