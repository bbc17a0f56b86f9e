"""Rows that name an image go from lists of labels and pairs, other bytes stay; read again by those who use them."""

import csv
import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data.config import DecodeLimits
from components.preference.aes_labels import read_labels
from components.preference.readers import read_comparisons
from flows.lineage.takedown_bytes import Wanted
from flows.lineage.takedown_labels import LabelsError, gone_files, naming, num_labels, rewrite_labels

LIMITS = DecodeLimits(1_000_000, 1_000_000, 100.0)
ID = hashlib.sha256(b"the image").hexdigest()
WANTED = Wanted(frozenset({ID}))


def pictures(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        out = io.BytesIO()
        Image.new("RGB", (8, 8), (number * 40, 9, 9)).save(out, "JPEG")
        (folder / name).write_bytes(out.getvalue())


def test_labels_in_csv_lose_the_row_and_are_read_again(tmp_path: Path) -> None:
    pictures(tmp_path / "photos", ["1.jpg", "2.jpg", "3.jpg"])
    file, gone = tmp_path / "photos.csv", tmp_path / "photos" / "2.jpg"
    rows = ["image,score,category\r\n", 'photos/1.jpg,7,"a ""quoted"",\r\nbroken\u2028line"\r\n']
    named = ['"./photos//2.jpg",50,"two\r\nlines"\r\n']
    file.write_bytes("".join([*rows, *named, "photos/3.jpg,90,c"]).encode())
    gone.unlink()
    wanted = naming(WANTED, file, [gone])
    assert num_labels(file, wanted) == 1
    rewrite_labels(file, wanted)
    assert file.read_bytes().decode() == "".join([*rows, "photos/3.jpg,90,c"])
    assert [one.name for one in read_labels(file, "csv", LIMITS).images] == ["photos/1.jpg", "photos/3.jpg"]
    assert num_labels(file, wanted) == 0


def test_avas_lines_lose_the_row_and_are_read_again(tmp_path: Path) -> None:
    pictures(tmp_path / "images", ["11.jpg", "12.jpg", "13.jpg"])
    lines = [
        f"{row} {number} {' '.join(['1'] * row + ['0'] * (10 - row))} 0 0 5\n"
        for row, number in ((1, 11), (2, 12), (9, 13))
    ]
    file, gone = tmp_path / "AVA.txt", tmp_path / "images" / "12.jpg"
    file.write_text("".join(lines))
    gone.unlink()
    rewrite_labels(file, naming(WANTED, file, [gone]))
    assert file.read_text() == lines[0] + lines[2]
    assert [one.name for one in read_labels(file, "ava", LIMITS).images] == ["11", "13"]


def test_votes_by_digest_and_pairs_by_place_lose_theirs(tmp_path: Path) -> None:
    pictures(tmp_path / "train", ["a.jpg", "b.jpg", "c.jpg"])
    gone = tmp_path / "train" / "b.jpg"
    votes = tmp_path / "votes.jsonl"
    kept = json.dumps({"image_a": "0" * 64, "note": f"said of {ID}"}) + "\n"
    votes.write_text(kept + json.dumps({"deep": [{"image_b": ID}]}) + "\n\n" + kept)
    assert num_labels(votes, WANTED) == 1
    rewrite_labels(votes, WANTED)
    assert votes.read_text() == kept + "\n" + kept

    plain = tmp_path / "pairs.jsonl"
    rows = [{"prompt": "p", "winner": f"train/{one}.jpg", "loser": f"train/{other}.jpg"} for one, other in ("ab", "ac")]
    plain.write_text("".join(json.dumps(row) + "\n" for row in rows))
    hpd = tmp_path / "train.json"
    entries = [
        {"prompt": "p", "image_path": [f"{one}.jpg", f"{other}.jpg"], "rank": [1, 2]} for one, other in ("ba", "ca")
    ]
    hpd.write_text(json.dumps(entries, indent=1))
    table = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    gone.unlink()
    for file in (plain, hpd):
        wanted = naming(WANTED, file, [gone])
        assert num_labels(file, wanted) == 1
        rewrite_labels(file, wanted)
    assert len(list(read_comparisons(plain, "plain", LIMITS))) == 1
    assert len(list(read_comparisons(hpd, "hpd", LIMITS))) == 1
    assert num_labels(table, naming(WANTED, table, [gone])) == 1


def test_a_text_whose_rows_cannot_be_told_is_said_to_name_the_image(tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text(f'{{"image_a": "{ID}"')
    with pytest.raises(LabelsError, match=r"votes\.jsonl"):
        num_labels(file, WANTED)
    file.write_bytes(b"\xff\xfe no names")
    assert num_labels(file, WANTED) == 0
    long = tmp_path / "long.csv"
    long.write_text(f"image\n{'x' * (csv.field_size_limit() + 1)}\n{ID}\n")
    with pytest.raises(LabelsError):
        num_labels(long, WANTED)


def test_only_files_that_are_nothing_else_lend_their_place(tmp_path: Path) -> None:
    raw = ["data/a.csv", "data/part.parquet", "data/photos/1.jpg"]
    assert gone_files(tmp_path, raw) == [tmp_path / "data" / "photos" / "1.jpg"]
