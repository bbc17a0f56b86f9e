"""Intake: text faults, repeats, the limit, subsets; and tables that are not what they should be."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data import intake, records
from components.data.config import DecodeLimits, Intake
from components.data.errors import DataError

LIMITS = DecodeLimits(10**6, 10**6, 500.0)
INTAKE = Intake(require_words=True, with_repetition=False, part_images=4, batch_size=2)


def png(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def row(seed: int, **changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "source_id": f"s/{seed}.jpg", "source": "s", "image": png(seed), "title_en": "thing", "title_zh": None,
        "tags_en": ["tag"], "tags_zh": None, "description_en": None, "category": None, "subcategory": None,
        "folder": None, "concept": f"{seed % 5}", "style": "clip art", "licence": "MIT", "creator": "me",
        "attribution": "me",
    }  # fmt: skip
    return base | changes


def part(tmp_path: Path, rows: list[dict[str, object]], name: str = "part-00000.parquet") -> Path:
    """A raw part whose text columns hold the bytes given, UTF-8 or not."""

    def as_bytes(value: object) -> object:
        if isinstance(value, list):
            return [as_bytes(one) for one in value]
        return value.encode() if isinstance(value, str) else value

    raw = [{key: as_bytes(value) for key, value in one.items()} for one in rows]
    types = [(f.name, pa.list_(pa.binary()) if pa.types.is_list(f.type) else pa.binary()) for f in records.RAW]
    table = pa.Table.from_pylist(raw, schema=pa.schema(types))
    # As a careless writer would: the bytes are declared to be text, whatever they are.
    columns = [_declared(table.column(f.name).combine_chunks(), f.type) for f in records.RAW]
    pq.write_table(pa.table(columns, schema=records.RAW), tmp_path / name)
    return tmp_path / name


def _declared(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_list(wanted):
        return pa.ListArray.from_arrays(array.offsets, _declared(array.values, wanted.value_type), mask=array.is_null())
    return pa.Array.from_buffers(wanted, len(array), array.buffers(), array.null_count, array.offset)


def inspected(file: Path) -> pa.Table:
    chosen = intake.read_raw_part(file)
    return intake.inspect_part(file, 0, chosen, intake.inspect_batch(chosen, LIMITS, INTAKE))


def without_repeats(*tables: pa.Table) -> pa.Table:
    repeats = intake.Repeats([intake.id_prefixes(table) for table in tables])
    return pa.concat_tables([repeats.refuse(table) for table in tables])


FAULTS = {
    "not UTF-8 title": ({"title_en": b"caf\xe9"}, "text_not_utf8"),
    "not UTF-8 tag": ({"tags_en": [b"ok", b"\xff\xfe"]}, "text_not_utf8"),
    "not UTF-8 name": ({"source_id": b"\x80"}, "text_not_utf8"),
    "no words": ({"title_en": "", "tags_en": []}, "no_words"),
    "white words": ({"title_en": " \n", "tags_en": None}, "no_words"),
    "no image": ({"image": None}, "empty"),
    "not an image": ({"image": b"hello"}, "unsupported_format"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_row_is_quarantined_for_its_reason(case: str, tmp_path: Path) -> None:
    fault, reason = FAULTS[case]
    table = inspected(part(tmp_path, [row(0), row(1, **fault), row(2)]))
    (refused,) = intake.quarantine_of(table).to_pylist()
    assert (refused["reason"], refused["row"], refused["part"]) == (reason, 1, "part-00000.parquet")
    assert intake.catalogue_of(table).num_rows == 2
    assert reason in intake.INTAKE_REASONS


def test_rows_in_batches_are_the_rows_one_by_one_and_are_named_by_their_bytes(tmp_path: Path) -> None:
    rows = [row(seed) for seed in range(7)] + [row(7, image=None), row(8, image=b"hello")]
    chosen = intake.read_raw_part(part(tmp_path, rows))
    together = intake.inspect_rows(chosen, INTAKE, LIMITS)
    alone = [intake.inspect_batch(chosen.slice(k, 1), LIMITS, INTAKE) for k in range(len(rows))]
    assert together.equals(pa.concat_tables(alone).cast(together.schema))
    names = [hashlib.sha256(image or b"").hexdigest() for image in chosen["image"].to_pylist()]
    assert together["sample_id"].to_pylist() == names


def test_bytes_that_repeat_name_the_first(tmp_path: Path) -> None:
    table = without_repeats(inspected(part(tmp_path, [row(0), row(1), row(2, image=png(0))])))
    (refused,) = intake.quarantine_of(table).to_pylist()
    assert (refused["reason"], refused["detail"]) == ("repeated_bytes", "the same bytes as s/0.jpg")


def test_bytes_that_repeat_in_another_part_name_the_first(tmp_path: Path) -> None:
    first, second = (inspected(part(tmp_path, rows)) for rows in ([row(0), row(1)], [row(2), row(5, image=png(0))]))
    (refused,) = intake.quarantine_of(without_repeats(first, second)).to_pylist()
    assert (refused["source_id"], refused["detail"]) == ("s/5.jpg", "the same bytes as s/0.jpg")


def test_a_damaged_first_copy_does_not_shadow_a_sound_one(tmp_path: Path) -> None:
    rows = [row(0, title_en="", tags_en=[]), row(1, image=png(0))]
    table = without_repeats(inspected(part(tmp_path, rows)))
    assert intake.catalogue_of(table)["source_id"].to_pylist() == ["s/1.jpg"]


def test_a_wrong_ending_is_recorded_and_harmless(tmp_path: Path) -> None:
    catalogue = intake.catalogue_of(inspected(part(tmp_path, [row(0), row(1, source_id="s/1.png")])))
    assert catalogue["format"].to_pylist() == ["PNG", "PNG"]
    assert catalogue["named_format"].to_pylist() == ["JPEG", "PNG"]
    assert intake.num_misnamed(catalogue) == 1


def test_rows_count_within_their_shard(tmp_path: Path) -> None:
    tables = []
    for shard in range(2):
        file = part(
            tmp_path, [row(10 * shard), row(10 * shard + 1, image=b""), row(10 * shard + 2)], f"part-{shard}.parquet"
        )
        chosen = intake.read_raw_part(file)
        tables.append(intake.inspect_part(file, shard, chosen, intake.inspect_batch(chosen, LIMITS, INTAKE)))
    catalogue = intake.catalogue_of(pa.concat_tables(tables))
    assert list(zip(catalogue["shard"].to_pylist(), catalogue["row"].to_pylist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1)
    ]  # fmt: skip


def test_the_share_of_damage_is_limited_and_repeats_are_not_damage(tmp_path: Path) -> None:
    rows = [row(k) for k in range(8)] + [row(8, image=b""), row(9, image=png(0))]
    refused = intake.quarantine_of(without_repeats(inspected(part(tmp_path, rows))))
    intake.check_share(refused, 10, 0.1, tmp_path)
    with pytest.raises(
        DataError, match=r"1 of 10 samples cannot be used, .*\(empty 1; first: part-00000.parquet row 8\)"
    ):
        intake.check_share(refused, 10, 0.09, tmp_path)
    with pytest.raises(DataError, match="hold no rows"):
        intake.check_share(refused.slice(0, 0), 0, 0.1, tmp_path)


def test_a_subset_takes_whole_concepts_first(tmp_path: Path) -> None:
    chosen = intake.choose_rows(intake.read_raw_part(part(tmp_path, [row(k) for k in range(20)])), 8)
    concepts = chosen["concept"].to_pylist()
    assert len(concepts) == 8
    assert sorted(concepts.count(c) for c in set(concepts)) == [4, 4]
    assert intake.choose_rows(chosen, None).equals(chosen)
    assert intake.choose_rows(chosen, 100).equals(chosen)


@pytest.mark.parametrize("missing", ["title_en", "image"])
def test_a_missing_column_is_named_with_its_file(missing: str, tmp_path: Path) -> None:
    file = part(tmp_path, [row(0)])
    table = pq.read_table(file)
    pq.write_table(table.drop_columns([missing]), file)
    with pytest.raises(
        DataError, match=rf"part-00000.parquet: column '{missing}' is missing \(there: .*add it"
    ) as error:
        intake.read_raw_part(file)
    assert "\n" not in str(error.value)


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sample_id": ["a"], "bytes": [[1.5]]}), tmp_path / "part-00000.parquet")
    with pytest.raises(DataError, match=r"column 'bytes' holds list<.*not binary"):
        records.read_images(tmp_path)


def test_a_file_that_is_not_parquet_or_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1 not really")
    for file in (tmp_path / "part-00000.parquet", tmp_path / "absent.parquet"):
        with pytest.raises(DataError, match="run the stage that makes it") as error:
            records.read_table(file, records.VERDICTS)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="holds no part"):
        records.raw_parts(tmp_path / "nowhere")


def test_tables_are_read_as_written_and_equal_tables_are_equal_files(tmp_path: Path) -> None:
    table = pa.table([["a", "b"], [b"1", b"2"]], schema=records.IMAGES)
    for name in ("one", "two"):
        records.write_table(table, tmp_path / name, {"note": "x"})
    assert records.read_table(tmp_path / "one", records.IMAGES).equals(table)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_rows_are_taken_in_the_order_asked_and_an_absent_one_is_named() -> None:
    table = pa.table([["a", "b", "c"], [b"1", b"2", b"3"]], schema=records.IMAGES)
    assert records.take_ids(table, ["c", "a"], "t")["bytes"].to_pylist() == [b"3", b"1"]
    with pytest.raises(DataError, match="t: has no sample x"):
        records.take_ids(table, ["a", "x"], "t")


def test_whatever_bytes_of_a_part_are_damaged_it_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    file = part(tmp_path, [row(seed) for seed in range(30)])
    sound, rng = file.read_bytes(), np.random.default_rng(4)
    refused = list[str]()
    for trial in range(40):
        data = bytearray(sound)
        start = int(rng.integers(0, len(data)))
        data[start : start + 1 + trial] = rng.bytes(len(data[start : start + 1 + trial]))
        file.write_bytes(data)
        try:
            intake.inspect_batch(intake.read_raw_part(file), LIMITS, INTAKE)
        except DataError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 40
    assert all("\n" not in line and file.name in line for line in refused)
