"""Stage `ingest`: raw parts in; images written once, the catalogue that names them, what it or landing refused."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
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


def ingest(p: Params, *, raw: Path, images: Path, catalogue: Path, quarantine: Path, refusals: Path) -> Metrics:
    """Decode, check, hash and measure every raw image; refuse the damaged with a reason; write the rest once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from components.data import engine, intake, records
    from components.data.arrow import pc
    from components.data.landing_ledger import read_refusals
    from components.tracking import current_run

    parts = [part for pool in p.pools for part in records.raw_parts(raw / pool)]
    prefixes, damaged = [], [records.QUARANTINE.empty_table()]
    counts, by_reason = Counter[str](), Counter[str]()

    def read(part: Path) -> pa.Table:
        return intake.choose_rows(intake.read_raw_part(part), p.max_images)

    # Facts wait on disk until it is clear that they may be written: memory holds two parts, however large the pool.
    with TemporaryDirectory() as spilled:
        for shard, chosen in enumerate(engine.ahead(read, parts)):
            inspected = intake.inspect_part(
                parts[shard], shard, chosen, intake.inspect_rows(chosen, p.intake, p.limits)
            )
            prefixes.append(intake.id_prefixes(inspected))
            damaged.append(intake.quarantine_of(inspected))
            records.write_table(inspected, records.part_file(Path(spilled), shard))
            counts["offered"] += inspected.num_rows
            current_run().progress(shard + 1, len(parts))
        intake.check_share(pa.concat_tables(damaged), counts["offered"], p.max_quarantine_frac, raw)
        repeats = intake.Repeats(prefixes)
        with (
            records.open_table(catalogue, records.CATALOGUE) as write_accepted,
            records.open_table(quarantine, records.QUARANTINE) as write_refused,
        ):
            for shard, chosen in enumerate(engine.ahead(read, parts)):
                inspected = repeats.refuse(pq.read_table(records.part_file(Path(spilled), shard)))
                records.write_table(intake.sound_images(chosen, inspected, shard), records.part_file(images, shard))
                refused, accepted = intake.quarantine_of(inspected), intake.catalogue_of(inspected)
                write_accepted(accepted)
                write_refused(refused)
                by_reason.update(refused.column("reason").to_pylist())
                counts["catalogued"] += accepted.num_rows
                counts["misnamed"] += intake.num_misnamed(accepted)
                counts["bytes"] += pc.sum(accepted.column("num_bytes")).as_py() or 0
    records.write_table(pa.concat_tables([read_refusals(raw / pool) for pool in p.pools]), refusals)
    current_run().log_metrics({f"refused/{reason}": by_reason[reason] for reason in intake.INTAKE_REASONS})
    return Metrics(
        offered_images=counts["offered"],
        catalogued_images=counts["catalogued"],
        repeated_images=by_reason["repeated_bytes"],
        damaged_images=by_reason.total() - by_reason["repeated_bytes"],
        misnamed_images=counts["misnamed"],
        catalogued_bytes=counts["bytes"],
    )
