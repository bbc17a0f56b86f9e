"""The two lists of what must not be trained on, written for `filter_images`: opted out, and in an evaluation set."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

BATCH_IMAGES = 64


def pinned_line(key: str, file: Path) -> str:
    """The line of params.yaml that names `file` as it is now."""
    return f"{key}: {{path: {file}, sha256: {hashlib.sha256(file.read_bytes()).hexdigest()}}}"


def write_opt_out(target: Path, salt: str, images: Iterable[Path], addresses: Sequence[str]) -> int:
    """Write the digests of `images`, by their bytes, and of `addresses`; returns how many."""
    from components.data.opt_out import format_list

    values = [hashlib.sha256(file.read_bytes()).hexdigest() for file in images] + list(addresses)
    target.write_text(format_list(salt, values), encoding="utf-8")
    return len(values)


def write_fingerprints(target: Path, images: Sequence[Path], root: Path) -> tuple[int, int]:
    """Write the fingerprints of `images`; returns how many there are, and how many are known by their bytes alone.

    Images are decoded within the limits that `ingest` has in params.yaml.
    """
    import pyarrow as pa

    from components.data.arrow import pc
    from components.data.decontamination import fingerprints
    from components.data.records import write_table
    from flows.data_pipeline import INGEST
    from flows.parameters import PARAMS_FILE, parse_block, read_blocks
    from flows.stages.ingest import Params

    given = parse_block(INGEST, read_blocks(root / PARAMS_FILE), root / PARAMS_FILE)
    limits = Params.model_validate(given).limits
    starts = range(0, len(images), BATCH_IMAGES)
    batches = ([file.read_bytes() for file in images[start : start + BATCH_IMAGES]] for start in starts)
    table = pa.concat_tables([fingerprints([], limits), *(fingerprints(batch, limits) for batch in batches)])
    write_table(table, target)
    return table.num_rows, pc.sum(pc.equal(table.column("pixel_sha256"), "")).as_py() or 0


def files_of(places: Iterable[Path]) -> list[Path]:
    """The files themselves and all files in the folders, in name order; ValueError if one is neither."""
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise ValueError(f"{place}: no such file or folder")
        found += [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    return found
