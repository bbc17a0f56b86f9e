"""Landing against what it meets outside: hostile archives, damaged tables, and kill -9."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.errors import DataError
from components.data.landing import PartLimits, land
from components.data.readers import READERS, open_reader, open_store
from components.data.readers.interface import ReadLimits
from flows.freshness import opened
from flows.landing import land_and_pin
from tests.conftest import Workspace
from tests.integration.pools import files, landed, member, picture, reasons, rows_of

LIMITS = ReadLimits(max_image_bytes=200_000, max_text_bytes=1000)


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


# ---- folders and archives


def test_a_folder_that_nobody_prepared_lands_what_is_an_image_and_names_the_rest(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "holiday" / "sea").mkdir(parents=True)
    for name in ("a.jpg", "holiday/b.JPG", "holiday/sea/c d.jpeg", "holiday/a.png"):
        (place / name).write_bytes(picture(len(name)))
    (place / "a.txt").write_text("a red <b>apple</b>", encoding="utf-8")
    (place / "holiday/b.JPG.json").write_text('{"caption": "苹果", "tags": ["x", "苹"], "license": "CC0"}')
    for name, data in {
        "holiday/latin.jpg": picture(1),
        "holiday/latin.txt": "caf\u00e9".encode("latin-1"),
        "holiday/odd.jpg": picture(2),
        "holiday/odd.json": b"[1, 2",
        "holiday/deep.jpg": picture(3),
        "holiday/deep.json": b"[" * 900,
        "holiday/lone.jpg": picture(4),
        "holiday/lone.json": b'{"title": "\\ud800"}',
        "holiday/long.jpg": picture(5),
        "holiday/long.txt": b"x" * 2000,
        "empty.png": b"",
        "large.png": bytes(300_000),
        "all.zip": zipped("a.jpg", picture(1)),
        "hidden.jpg": zipped("a.jpg", picture(1)),
        "notes.docx": b"x",
        ".DS_Store": b"x",
        "left over.txt": b"x",
    }.items():
        (place / name).write_bytes(data)
    (place / "link.jpg").symlink_to("/etc/passwd")
    (place / "out").symlink_to("/etc")
    os.mkfifo(place / "pipe.jpg")
    (place / os.fsdecode(b"caf\xe9.jpg")).write_bytes(picture(6))

    land(READERS["folder"](open_store(str(place)), LIMITS, ()), tmp_path / "pool", origin="x")
    rows = {row["source_id"]: row for row in rows_of(tmp_path / "pool")}
    assert sorted(rows) == ["a.jpg", "holiday/a.png", "holiday/b.JPG", "holiday/sea/c d.jpeg"]
    assert rows["a.jpg"]["title_en"] == "a red <b>apple</b>"
    assert rows["holiday/a.png"]["title_en"] is None
    assert (rows["holiday/b.JPG"]["title_zh"], rows["holiday/b.JPG"]["tags_zh"]) == ("苹果", ["苹"])
    assert [row["folder"] for row in rows.values()] == [None, "holiday", "holiday", "holiday/sea"]
    assert {row["category"] for row in rows.values()} == {None}
    assert reasons(tmp_path / "pool") == {
        "holiday/latin.txt": "words_not_utf8",
        "holiday/odd.json": "words_not_json",
        "holiday/deep.json": "words_not_json",
        "holiday/lone.jpg": "words_not_utf8",
        "holiday/long.txt": "too_large",
        "empty.png": "empty",
        "large.png": "too_large",
        "all.zip": "archive_inside",
        "hidden.jpg": "archive_inside",
        "notes.docx": "unknown_ending",
        "link.jpg": "link",
        "out": "link",
        "pipe.jpg": "not_a_file",
        "caf\\udce9.jpg": "unsafe_name",
    }


def test_a_hostile_tar_gives_its_sound_samples_and_a_reason_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with tarfile.open(tmp_path / "place" / "0.tar", "w") as tar:
        member(tar, "a.png", picture(0))
        member(tar, "a.txt", b"first")
        member(tar, "../../etc/cron.d/evil.png", picture(1))
        member(tar, "/etc/evil.png", picture(1))
        member(tar, "soft.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        member(tar, "hard.png", type=tarfile.LNKTYPE, linkname="a.png")
        member(tar, "device.png", type=tarfile.CHRTYPE)
        member(tar, "pipe.png", type=tarfile.FIFOTYPE)
        member(tar, "inner.zip", zipped("a.png", picture(1)))
        member(tar, "disguised.png", zipped("a.png", picture(1)))
        member(tar, "large.png", bytes(300_000))
        member(tar, "sub/b.png", picture(2))
        member(tar, "sub/b.cls", b"7")
        member(tar, "sub/b.mask.png", picture(2))
        member(tar, "words only.txt", b"nothing to see")
        member(tar, "a.png", picture(3))
        member(tar, "c.png", picture(4))
        member(tar, "c.png", picture(5))
    whole = (tmp_path / "place" / "0.tar").read_bytes()
    (tmp_path / "place" / "1.tar").write_bytes(whole[:1200])
    (tmp_path / "place" / "2.tar").write_bytes(b"no tar at all" * 100)
    (tmp_path / "place" / "3.tar.gz").write_bytes(b"\x1f\x8b")
    land(READERS["webdataset"](open_store(str(tmp_path / "place")), LIMITS, ()), tmp_path / "pool", origin="x")
    assert landed(tmp_path / "pool") == {
        f"0.tar/{name}.png": picture(k) for name, k in (("a", 0), ("sub/b", 2), ("c", 4))
    }
    assert reasons(tmp_path / "pool") == {
        "0.tar/../../etc/cron.d/evil.png": "unsafe_name",
        "0.tar//etc/evil.png": "unsafe_name",
        "0.tar/soft.png": "link",
        "0.tar/hard.png": "link",
        "0.tar/device.png": "not_a_file",
        "0.tar/pipe.png": "not_a_file",
        "0.tar/inner.zip": "archive_inside",
        "0.tar/disguised.png": "archive_inside",
        "0.tar/large.png": "too_large",
        "0.tar/words only": "no_image",
        "0.tar/sub/b.mask.png": "not_the_image",
        "0.tar/a.png": "listed_twice",
        "0.tar/c.png": "listed_twice",
        "1.tar": "damaged_archive",
        "2.tar": "damaged_archive",
        "3.tar.gz": "compressed_archive",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "pool"], "nothing was extracted"


def test_a_tar_header_of_absurd_length_is_not_put_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 34
    place = tmp_path / "0.tar"
    place.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(DataError, match=r"damaged_archive 1; first: 0\.tar: a header of"):
        land(open_reader(str(place)), tmp_path / "pool", origin="x")


# ---- Parquet


def test_a_corrupt_row_group_costs_its_rows_and_a_wrong_schema_its_file(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    rows = [{"image": picture(k, 40), "caption": f"number {k}"} for k in range(12)]
    rows[1]["image"], rows[2]["image"] = None, bytes(300_000)
    pq.write_table(pa.Table.from_pylist(rows), place / "a.parquet", row_group_size=4, compression="snappy")
    metadata = pq.ParquetFile(place / "a.parquet").metadata
    data = bytearray((place / "a.parquet").read_bytes())
    start = metadata.row_group(1).column(0).data_page_offset
    data[start : start + 60] = b"\xff" * 60
    (place / "a.parquet").write_bytes(data)
    pq.write_table(pa.table({"name": ["x"], "image": [1]}), place / "b.parquet")
    (place / "c.parquet").write_bytes(b"PAR1 not really PAR1")
    words = pa.array([b"caf\xe9"], pa.binary())
    odd = pa.table({"image": [picture(99)], "caption": pa.Array.from_buffers(pa.string(), 1, words.buffers())})
    pq.write_table(odd, place / "d.parquet")
    land(READERS["parquet"](open_store(str(place)), LIMITS, ()), tmp_path / "pool", origin="x")
    kept = (0, 3, 8, 9, 10, 11)
    assert landed(tmp_path / "pool") == {f"a.parquet#{k}": picture(k, 40) for k in kept}
    assert reasons(tmp_path / "pool") == {
        "a.parquet#1": "empty",
        "a.parquet#2": "too_large",
        "a.parquet, row group 1": "corrupt_row_group",
        "b.parquet": "wrong_schema",
        "c.parquet": "not_parquet",
        "d.parquet#0": "words_not_utf8",
    }


def test_words_of_a_list_that_are_not_utf8_are_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    words = pa.array([b"caf\xe9"], pa.binary())
    table = pa.table({"url": ["http://a.example/1"], "text": pa.Array.from_buffers(pa.string(), 1, words.buffers())})
    pq.write_table(table, tmp_path / "list.parquet")
    with pytest.raises(DataError, match=r"words_not_utf8 1; first: http://a\.example/1"):
        land(open_reader(str(tmp_path / "list.parquet"), "urls"), tmp_path / "pool", origin="x")


# ---- data/


@pytest.mark.filterwarnings("ignore:_NoneStep.value")  # DVC's own use of pygtrie
def test_what_lands_is_pinned_and_a_second_landing_changes_nothing(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)  # DVC works in the current folder
    place = tmp_path / "place"
    place.mkdir()
    (place / "a.png").write_bytes(picture(1))
    pins = []
    for number in (1, 1, 2):
        if not (place / f"{number}.png").exists():
            (place / f"{number}.png").write_bytes(picture(number))
        done = land_and_pin(workspace.root, str(place), "photos", None, force=False)
        pins.append((workspace.root / "data.dvc").read_text())
        assert not opened_status(workspace.root)
        done_names = sorted(landed(workspace.root / "data" / "photos"))
    assert pins[0] == pins[1] != pins[2]
    assert (done.num_landed, done_names) == (1, ["1.png", "2.png", "a.png"])
    shutil.rmtree(workspace.root / "data")
    workspace.run(sys.executable, "-m", "dvc", "checkout", "--quiet", "data.dvc")
    assert sorted(landed(workspace.root / "data" / "photos")) == ["1.png", "2.png", "a.png"]


def test_landing_without_the_pinned_data_is_refused_so_that_nothing_is_unpinned(
    workspace: Workspace, tmp_path: Path
) -> None:
    shutil.rmtree(workspace.root / "data")
    with pytest.raises(ValueError, match="data/ is missing: run `dvc pull`"):
        land_and_pin(workspace.root, str(tmp_path), "photos", "folder", force=False)
    with pytest.raises(ValueError, match=r"--name '\.\./x'"):
        land_and_pin(workspace.root, str(tmp_path), "../x", "folder", force=False)


def opened_status(root: Path) -> dict[str, Any]:
    with opened(root) as repo:
        return repo.status(targets=["data.dvc"])


# ---- kill -9

LANDER = """
import sys, time
from pathlib import Path
from components.data.landing import PartLimits, land
from components.data.readers import open_reader

def until_killed(landing):
    print(landing.num_landed, flush=True)
    while landing.num_landed >= int(sys.argv[3]):
        time.sleep(1)

land(open_reader(sys.argv[1], "folder"), Path(sys.argv[2]), origin="x", limits=PartLimits(max_rows=8),
     progress=until_killed)
"""


@pytest.mark.parametrize("killed_after", [1, 20, 37])
def test_a_killed_landing_loses_nothing_and_ends_as_if_it_had_not_been(killed_after: int, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for number in range(60):
        (place / f"{number:02d}.png").write_bytes(picture(number))
    limits = PartLimits(max_rows=8)
    land(open_reader(str(place)), tmp_path / "whole" / "pool", origin="x", limits=limits)
    command = [sys.executable, "-c", LANDER, str(place), str(tmp_path / "pool"), str(killed_after)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    while int(process.stdout.readline()) < killed_after:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    committed = files(tmp_path / "pool")
    assert len([name for name in committed if name.startswith("part-")]) == killed_after // 8
    done = land(open_reader(str(place)), tmp_path / "pool", origin="x", limits=limits)
    assert files(tmp_path / "pool") == files(tmp_path / "whole" / "pool")
    assert done.num_landed == 60 - 8 * (killed_after // 8)
