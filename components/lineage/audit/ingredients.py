"""What went into a model: the records whose outputs it was made of, without those that only measured it.

A report is read by the stage that writes the model card, and stands on every model that was compared. Nothing of
these reached the weights, so the walk does not follow it; the record that made it is the model's evaluation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from components.lineage.audit.document import Link, link, pointer
from components.lineage.chain import EVALUATION_ROLE
from components.lineage.graph import Graph
from components.lineage.record import Item, Record

IMAGE_ROLES = frozenset({"images", "latents", "curated", "pair_latents", "sft_latents"})
"""Roles of inputs that hold images, or what an autoencoder made of them; a training without any reads words only."""


def set_links(records: Iterable[Record], role: str) -> tuple[Link, ...]:
    """Links to the roots of the sets of a role, each root once."""
    found = dict[str, Link]()
    for record in records:
        for place, one in enumerate(record.samples.sets):
            if one.role == role:
                found.setdefault(one.root, Link(record.id, pointer("samples", "sets", place, "root")))
    return tuple(found.values())


@dataclass(frozen=True)
class Ingredients:
    """The records about one model, each group oldest first.

    Args:
        subject: the record that was asked for.
        records: those that made it, itself included.
        evaluations: those whose report it read.
        decisions: promotions and the like that name one of `records`, and takedowns of the whole ledger.
        missing: ids that a record names and the ledger does not hold.
    """

    subject: Record
    records: tuple[Record, ...]
    evaluations: tuple[Record, ...]
    decisions: tuple[Record, ...]
    missing: tuple[str, ...]

    @property
    def trainings(self) -> tuple[Record, ...]:
        """The records that drew samples into weights."""
        return tuple(record for record in self.records if record.sample_set("drawn"))

    @property
    def image_trainings(self) -> tuple[Record, ...]:
        """Those that read images."""
        return tuple(one for one in self.trainings if any(item.role in IMAGE_ROLES for item in one.inputs))

    @property
    def word_trainings(self) -> tuple[Record, ...]:
        """Those that read words about images, and no image."""
        return tuple(one for one in self.trainings if not any(item.role in IMAGE_ROLES for item in one.inputs))

    def catalogues(self) -> tuple[tuple[Item, Link], ...]:
        """The tables that say whose images these are, with links to their digests."""
        return tuple(
            (item, link(record, "outputs", place, "sha256")[0])
            for record in self.records
            for place, item in enumerate(record.outputs)
            if item.path.endswith("catalogue.parquet")
        )

    def parameters(self, key: str) -> Iterator[tuple[Link, Any]]:
        """Every parameter called `key`, at any depth, of the records that made the model."""
        for record in self.records:
            for place, value in _named(record.parameters, key, ("parameters",)):
                yield Link(record.id, pointer(*place)), value


def ingredients_of(graph: Graph, subject: Record) -> Ingredients:
    """What the ledger holds about the model that `subject` made, or decided about."""
    taken, evaluations = {subject.id}, set[str]()
    waiting = [subject]
    while waiting:
        record = waiting.pop()
        for item in record.inputs:
            maker = item.made_by or getattr(_maker(graph, record, item), "id", "")
            if not maker or maker not in graph:
                continue
            if item.role == EVALUATION_ROLE:
                evaluations.add(maker)
            elif maker not in taken:
                taken.add(maker)
                waiting.append(graph.record(maker))
        if record.kind != "stage":
            above = [graph.record(one) for one in graph.parents(record.id) if one not in taken]
            taken.update(one.id for one in above)
            waiting.extend(above)
    records = tuple(record for record in graph.records if record.id in taken)
    decisions = [
        record
        for record in graph.records
        if record.kind == "takedown"
        or (record.kind not in ("stage", "run") and record.id not in taken and not taken.isdisjoint(record.parents))
    ]
    missing = dict.fromkeys(one for record in records for one in graph.missing(record.id))
    judged = tuple(record for record in graph.records if record.id in evaluations - taken)
    return Ingredients(subject, records, judged, tuple(decisions), tuple(missing))


def _maker(graph: Graph, reader: Record, item: Item) -> Record | None:
    """The record that wrote these bytes, if it stands before the one that read them."""
    made = graph.made(item.sha256)
    return made if made and graph.index(made.id) < graph.index(reader.id) else None


def _named(value: Any, key: str, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for name, one in cast(dict[str, Any], value).items():
            if name == key:
                yield (*place, name), one
            yield from _named(one, key, (*place, name))
    elif isinstance(value, list | tuple):
        for number, one in enumerate(cast(list[Any], value)):
            yield from _named(one, key, (*place, number))
