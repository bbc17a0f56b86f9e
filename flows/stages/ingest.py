"""Stage `ingest`: raw parts in; images written once, the catalogue that names them, and what was refused."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from components.data.config import DecodeLimits, Intake

PoolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Params(BaseModel, frozen=True, extra="forbid"):
    """What is taken and what is refused. `pools` are folders below data/; `easel data land` adds one."""

    pools: tuple[PoolName, ...] = Field(min_length=1)
    max_images: int | None
    max_quarantine_frac: float
    intake: Intake
    limits: DecodeLimits


@dataclass(frozen=True)
class Metrics:
    """offered = catalogued + repeated + damaged."""

    offered_images: int
    catalogued_images: int
    repeated_images: int
    damaged_images: int
    misnamed_images: int
    catalogued_bytes: int


def ingest(p: Params, *, raw: Path, images: Path, catalogue: Path, quarantine: Path) -> Metrics:
    """Decode, check, hash and measure every raw image; refuse the damaged with a reason; write the rest once."""
    import pyarrow as pa

    from components.data import intake, records
    from components.data.arrow import pc
    from components.tracking import current_run

    parts = [part for pool in p.pools for part in records.raw_parts(raw / pool)]
    tables: list[pa.Table] = []
    for shard, part in enumerate(parts):
        chosen = intake.choose_rows(intake.read_raw_part(part), p.max_images)
        facts = intake.inspect_rows(chosen, p.intake, p.limits)
        tables.append(intake.inspect_part(part, shard, chosen, facts))
        current_run().progress(shard + 1, len(parts))
    inspected = intake.refuse_repeats(pa.concat_tables(tables))
    refused, accepted = intake.quarantine_of(inspected), intake.catalogue_of(inspected)
    intake.check_share(refused, inspected.num_rows, p.max_quarantine_frac, raw)
    for shard, part in enumerate(parts):
        chosen = intake.choose_rows(intake.read_raw_part(part), p.max_images)
        records.write_table(intake.sound_images(chosen, inspected, shard), records.part_file(images, shard))
    records.write_table(accepted, catalogue)
    records.write_table(refused, quarantine)
    by_reason = Counter(refused.column("reason").to_pylist())
    current_run().log_metrics({f"refused/{reason}": by_reason[reason] for reason in intake.INTAKE_REASONS})
    return Metrics(
        offered_images=inspected.num_rows,
        catalogued_images=accepted.num_rows,
        repeated_images=by_reason["repeated_bytes"],
        damaged_images=refused.num_rows - by_reason["repeated_bytes"],
        misnamed_images=intake.num_misnamed(accepted),
        catalogued_bytes=pc.sum(accepted.column("num_bytes")).as_py() or 0,
    )
