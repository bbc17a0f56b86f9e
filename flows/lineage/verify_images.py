"""The last steps of `easel verify`: no sample was opted out, and the images are those that records name."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from components.lineage.chain import BrokenError, made_of, name_of
from components.lineage.chain_sets import sample_ids
from components.lineage.manifest import WIDTH, contains, pack
from components.lineage.record import Record
from components.lineage.verify import Step, Subject
from flows.parameters import PARAMS_FILE, read_blocks

BATCH_IMAGES = 256
RAW_COLUMN, SHARD_COLUMN = "image", "bytes"


def check_opt_out(subject: Subject) -> Step:
    """Nothing that was offered to a training is on the opt-out list that was in force.

    Raises:
        BrokenError: the first sample that is.
    """
    from components.data.opt_out import read_list

    wanted = sorted({record.samples.opt_out for record in subject.chain.records} - {""})
    file = _list_file(subject.root)
    if not file.is_file():
        return Step(
            "opt-outs", f"the list that was in force, {wanted[0]}, is not here" if wanted else "no list was in force"
        )
    now, known = hashlib.sha256(file.read_bytes()).hexdigest(), read_list(file)
    offered = sample_ids(subject.sets.union("offered", "drawn"))
    named = [one for one in offered if known.names(one)]
    if now not in wanted:
        then = f"the list that was in force, {wanted[0]}, is not here" if wanted else "no list was in force"
        since = f"today's list names {len(named):,} of its {len(offered):,} samples; `easel run` trains without them"
        return Step("opt-outs", then, (since,) if named else ())
    if named:
        record = next(r for r in subject.chain.records for p in subject.sets.of(r, "offered") if contains(p, named[0]))
        raise BrokenError(name_of(record), f"was offered sample {named[0]}, which the opt-out list of that time names")
    return Step("opt-outs", f"none of {len(offered):,} samples is among the {len(known.digests):,} names on the list")


def check_images(subject: Subject) -> Step:
    """Every image that lies here has the bytes its id says, and the source images are those that records name.

    Raises:
        BrokenError: the first shard with another image, or the first source image that is not there.
    """
    notes, read = list[str](), 0
    for record in () if subject.is_quick else subject.chain.records:
        made = (
            subject.sets.of(record, "kept") if record.sample_set("received") else subject.sets.of(record, "generated")
        )
        folders = [item.path for item in record.outputs if item.role == "images"]
        for path in folders if made else ():
            read += _check_shards(subject, record, path, made[0], notes)
        if record.sample_set("received") and record.sample_set("kept"):
            read += _check_raw(subject, record, notes)
    received = len(subject.sets.union("received")) // WIDTH
    drawn = len(subject.sets.union("drawn", records=made_of(subject.graph, subject.record))) // WIDTH
    how = "not read (--quick)" if subject.is_quick else f"{read:,} images read"
    return Step(
        "images",
        f"{received:,} source images, all named by records; {drawn:,} drawn in training it; {how}",
        tuple(notes),
    )


def _check_shards(subject: Subject, record: Record, path: str, expected: bytes, notes: list[str]) -> int:
    """Hash the images in a folder of shards; they are exactly the record's."""
    folder = subject.root / path
    if not folder.is_dir():
        notes.append(f"{path}: not in the workspace")
        return 0
    if not _is_as_recorded(subject, record, path):
        return 0
    found = set[str]()
    for file, names, images in _images(folder, SHARD_COLUMN, subject):
        for name, image in zip(names, images, strict=True):
            is_right = hashlib.sha256(image).hexdigest() == name
            if not is_right or not contains(expected, name):
                what = "is not among the images of" if is_right else "has other bytes than its name says; see"
                raise BrokenError(f"{path}/{file.name}", f"image {name} {what} {name_of(record)}")
        found.update(names)
    _check_all_there(path, expected, found, record)
    return len(found)


def _check_raw(subject: Subject, record: Record, notes: list[str]) -> int:
    """Hash the source images: every one that the record received is among them."""
    found, paths = set[str](), list[str]()
    for item in record.inputs:
        folder = subject.root / item.path
        if not item.made_by and folder.is_dir() and _is_as_recorded(subject, record, item.path):
            paths.append(item.path)
            for _, _, images in _images(folder, RAW_COLUMN, subject):
                found.update(hashlib.sha256(image).hexdigest() for image in images)
    if not found:
        notes.append(
            "the source images are not here as they were (gone, written anew, or no tables); records name them all"
        )
        return 0
    for packed in subject.sets.of(record, "received"):
        _check_all_there(", ".join(paths), packed, found, record)
    return len(found)


def _check_all_there(path: str, expected: bytes, found: set[str], record: Record) -> None:
    if len(expected) // WIDTH == len(found) and pack(found) == expected:
        return
    missing = [one for one in sample_ids(expected) if one not in found]
    if missing:
        told = f"{len(missing)} images of {name_of(record)} are not in it; the first is {missing[0]}"
        raise BrokenError(path, f"{told}; `dvc checkout` brings back what was recorded")


def _is_as_recorded(subject: Subject, record: Record, path: str) -> bool:
    """Whether the step before found there what this record says, and not what another run made."""
    return path in subject.held.same and any(item.path == path for item in (*record.inputs, *record.outputs))


def _images(folder: Path, column: str, subject: Subject) -> Iterator[tuple[Path, list[str], list[bytes]]]:
    """Names (where there are any) and bytes of the images in the tables below a folder, a few at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in sorted(folder.rglob("*.parquet")):
        try:
            with pq.ParquetFile(file) as table:
                columns = [name for name in ("sample_id", column) if name in table.schema_arrow.names]
                if column not in columns:
                    continue
                for batch in table.iter_batches(BATCH_IMAGES, columns=columns):
                    names = batch.column("sample_id").to_pylist() if "sample_id" in columns else []
                    images = [one or b"" for one in batch.column(column).to_pylist()]
                    if subject.tell:
                        subject.tell(sum(map(len, images)))
                    yield file, names, images
        except (OSError, pa.ArrowException) as error:
            detail = " ".join(str(error).split())[:160]
            raise BrokenError(str(file), f"damaged ({detail}); `dvc checkout` brings back what was recorded") from None


def _list_file(root: Path) -> Path:
    """The opt-out list that params.yaml names, or the one at the usual place."""
    from flows.lineage.takedown_list import BLOCK, DEFAULT, KEY

    file = root / PARAMS_FILE
    block = read_blocks(file).get(BLOCK, {}) if file.is_file() else {}
    pinned = block.get(KEY)
    return root / (pinned["path"] if pinned else DEFAULT)
