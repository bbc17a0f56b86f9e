"""A record's history in the words of a standard: which records a document tells of, and who writes it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from components.lineage.exporters.croissant import export_croissant
from components.lineage.exporters.cyclonedx import export_cyclonedx
from components.lineage.exporters.model import NO_BUILD, Picture
from components.lineage.exporters.openlineage import export_openlineage
from components.lineage.exporters.prov import export_prov
from components.lineage.exporters.records import affected_records, picture
from components.lineage.exporters.spdx3 import export_spdx3
from components.lineage.graph import Graph
from components.lineage.record import Record
from flows.lineage.model_references import find_record, open_graph
from flows.lineage.settings import openlineage_namespace

EXPORTERS: Mapping[str, Callable[[Picture], str]] = {
    "prov": export_prov,
    "openlineage": export_openlineage,
    "spdx3": export_spdx3,
    "cyclonedx": export_cyclonedx,
    "croissant": export_croissant,
}


def export_lineage(root: Path, reference: str, standard: str) -> str:
    """The history of what `reference` means, as a document of the standard.

    Raises:
        ValueError: the word means no record; one line names what there is.
    """
    _, graph = open_graph(root)
    record = find_record(root, graph, reference)
    told = picture(told_of(graph, record), record.id)
    if standard == "openlineage":  # by the names that a server heard while the stages ran
        return export_openlineage(told, openlineage_namespace())
    return EXPORTERS[standard](told)


def told_of(graph: Graph, record: Record) -> list[Record]:
    """The record, all that it stands on, the decisions about it, and the takedowns that reached any of these."""
    history = [*graph.above(record.id), record]
    known = {one.id for one in history}
    decisions = [one for one in graph.below(record.id) if one.kind in NO_BUILD]
    takedowns = [one for one in graph.records if known & {*affected_records(one)}]
    return [*history, *decisions, *takedowns]
