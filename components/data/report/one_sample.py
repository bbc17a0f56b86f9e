"""Everything that the tables know of one image."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.data import records
from components.data.arrow import pc
from components.data.errors import DataError

MIN_PREFIX = 6
_ID = records.columns_of(records.IMAGES, "sample_id")


def find_sample(catalogue: Path, given: str) -> str:
    """The id of the sample that `given` names: its id, the unambiguous first digits, or a file of its bytes.

    DataError if none or more than one has it.
    """
    file = Path(given).expanduser()
    wanted = given.lower()
    if file.is_file():
        wanted = hashlib.sha256(file.read_bytes()).hexdigest()
    elif not re.fullmatch(rf"[0-9a-f]{{{MIN_PREFIX},64}}", wanted):
        raise DataError(f"{given}: is no file, and no sample's id; give at least {MIN_PREFIX} of its 64 digits 0-9 a-f")
    ids = records.read_table(catalogue, _ID).column("sample_id")
    found = ids.filter(pc.starts_with(ids, wanted)).to_pylist()
    if len(found) > 1:
        shown = ", ".join(one[: len(wanted) + 6] for one in found[:3])
        raise DataError(f"{given}: {len(found)} samples begin so ({shown} ...); give more digits")
    if not found:
        what = f"these bytes (SHA-256 {wanted[:12]}...)" if file.is_file() else "that id"
        raise DataError(f"{given}: no sample has {what}; it never came in, or ingest refused it (see the quarantine)")
    return found[0]


def describe_sample(sample_id: str, tables: Mapping[str, Path], images: Path) -> dict[str, Any]:
    """Every table's row of the sample (captions: all rows), by table; a table that is not there yet is left out.

    Beside it `fate` says in words what became of it, `place` where its bytes lie, and `selection.expected_repeats` how
    often an epoch is expected to draw it.
    """
    known: dict[str, Any] = {"sample_id": sample_id, "fate": ""}
    for name, file in tables.items():
        if not file.exists():
            continue
        rows = pq.read_table(file, filters=[("sample_id", "=", sample_id)]).drop_columns("sample_id").to_pylist()
        if name == "captions":
            known[name] = rows
        elif rows:
            known[name] = rows[0]
    sample = known["catalogue"]
    known["place"] = {"file": str(records.part_file(images, sample.pop("shard"))), "row": sample.pop("row")}
    if "selection" in known:
        split = pq.read_table(tables["selection"], columns=["split"]).column("split")
        num_train = pc.sum(pc.equal(split, "train")).as_py()
        known["selection"]["expected_repeats"] = known["selection"]["probability"] * num_train
    return known | {"fate": _fate(known)}


def _fate(known: Mapping[str, Any]) -> str:
    verdict, chosen = known.get("verdicts"), known.get("selection")
    if verdict is None:
        return "catalogued, not filtered yet"
    if not verdict["kept"]:
        original = verdict["duplicate_of"]
        return f"dropped by the filter {verdict['reason']}" + (f", as a repeat of {original}" if original else "")
    if chosen is None:
        return "kept, not selected" if known.get("captions") else "kept, without a caption"
    if chosen["split"] != "train":
        return f"held out ({chosen['split']})"
    return f"trained on, {chosen['expected_repeats']:.2f} times an epoch"
