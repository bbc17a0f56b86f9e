"""Which images the page shows: a few that were dropped for each reason, and the largest clusters of repeats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.data.arrow import pc
from components.data.report.tables import Tables, align, landing_reasons

_REPEATS = "the same bytes as "


@dataclass(frozen=True)
class Example:
    """An image that was dropped: its id ("" if its bytes were refused), what it repeats ("" if nothing), and words.

    `num_bytes` is told of a file that came in and could not be used.
    """

    sample_id: str
    repeats: str
    name: str
    detail: str
    num_bytes: int | None = None

    @property
    def is_pictured(self) -> bool:
        """Whether there is an image to show: its own, or the one it repeats."""
        return bool(self.sample_id or self.repeats)


Reason = tuple[str, str]


def choose_examples(tables: Tables, fate: pa.Table, number: int) -> dict[Reason, list[Example]]:
    """At most `number` examples for each gate and reason, by their ids: a SHA-256 falls like dice, and always alike."""
    dropped = fate.filter(pc.not_equal(fate.column("gate"), "")).sort_by("sample_id")
    examples = _not_landed(tables.refusals, number) | _refused(tables, number)
    for key in dropped.group_by(["gate", "reason"], use_threads=False).aggregate([]).to_pylist():
        gate, reason = key["gate"], key["reason"]
        mine = dropped.filter(
            pc.and_(pc.equal(dropped.column("gate"), gate), pc.equal(dropped.column("reason"), reason))
        )
        ids = mine.column("sample_id").slice(0, number).combine_chunks()
        examples[gate, reason] = _described(tables, ids)
    return examples


def choose_clusters(verdicts: pa.Table, num_clusters: int, num_members: int) -> list[tuple[int, list[str]]]:
    """The largest clusters of repeats: size and first members, the copy that was kept before the others."""
    members = dict[str, list[str]]()
    ids, kept = (verdicts.column(name).to_pylist() for name in ("sample_id", "duplicate_of"))
    for sample_id, keeper in zip(ids, kept, strict=True):
        if keeper:
            members.setdefault(keeper, [keeper]).append(sample_id)
    largest = sorted(members.values(), key=lambda ids: (-len(ids), ids[0]))[:num_clusters]
    return [(len(ids), [ids[0], *sorted(ids[1:])][:num_members]) for ids in largest]


def choose_texts(ocr: pa.Table, number: int) -> list[tuple[str, str]]:
    """Ids of some images in which text was read, and the text."""
    found = ocr.filter(pc.greater(pc.utf8_length(ocr.column("ocr_text")), 0)).sort_by("sample_id").slice(0, number)
    return list(zip(*(found.column(name).to_pylist() for name in ("sample_id", "ocr_text")), strict=True))


def pictured(
    examples: Mapping[Reason, Sequence[Example]],
    clusters: Sequence[tuple[int, Sequence[str]]],
    texts: Sequence[tuple[str, str]],
) -> set[str]:
    """The ids of all images that are shown."""
    ids = {sample_id for few in examples.values() for one in few for sample_id in (one.sample_id, one.repeats)}
    ids |= {sample_id for _, members in clusters for sample_id in members}
    return (ids | {sample_id for sample_id, _ in texts}) - {""}


def _described(tables: Tables, ids: pa.Array) -> list[Example]:
    repeats = align(tables.verdicts, ids).column("duplicate_of").to_pylist()
    rows: list[dict[str, Any]] = align(tables.catalogue, ids).to_pylist()
    return [
        Example(row["sample_id"], repeat or "", row["title_en"] or row["source_id"] or "", row["source_id"] or "")
        for row, repeat in zip(rows, repeats, strict=True)
    ]


def _not_landed(refusals: pa.Table, number: int) -> dict[Reason, list[Example]]:
    """Examples of what landing refused, by their names."""
    examples = dict[Reason, list[Example]]()
    ordered = refusals.sort_by([("name", "ascending"), ("source", "ascending")])
    for row, reason in zip(ordered.to_pylist(), landing_reasons(ordered), strict=True):
        few = examples.setdefault(("land", reason), [])
        if len(few) < number:
            few.append(Example("", "", row["name"], row["detail"]))
    return examples


def _refused(tables: Tables, number: int) -> dict[Reason, list[Example]]:
    """Examples of what ingest refused; only a repeat of another image can be shown, by that image."""
    examples = dict[Reason, list[Example]]()
    sound = tables.catalogue.select(["source_id", "sample_id", "title_en"])
    for row in tables.quarantine.sort_by([("source_id", "ascending"), ("row", "ascending")]).to_pylist():
        few = examples.setdefault(("ingest", row["reason"]), [])
        if len(few) < number:
            original = (row["detail"] or "").removeprefix(_REPEATS) if row["reason"] == "repeated_bytes" else ""
            found = sound.filter(pc.equal(sound.column("source_id"), original)).to_pylist()
            name = (found and found[0]["title_en"]) or row["source_id"] or ""
            repeated = found[0]["sample_id"] if found else ""
            few.append(Example("", repeated, name, row["detail"] or "", row["num_bytes"]))
    return examples
