"""The model card, in the order of Hugging Face's card template, from records and from what the provider says.

Names of accounts and hosts stay in the records: this is a page for everybody.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from components.lineage.audit.document import Cell, Figure, Line, Link, Section, Table, pointer, recorded
from components.lineage.audit.summary import Case, held, listed, said
from components.lineage.record import Record

NOWHERE = "not recorded"


def model_card(case: Case, words: Mapping[str, str]) -> Section:
    """Section 5: details, uses, limits, training, evaluation, environmental impact.

    Args:
        case: what it is written from.
        words: texts of the exported model's own README by heading, read from the bytes that its record names.
    """
    p, ingredients = case.provider, case.ingredients
    uses = (
        said("Intended use", p.intended_use),
        said("Out-of-scope use", p.out_of_scope),
    )
    limits = (_or_readme("Limits and biases", p.limits_and_biases, words.get("Limitations", "")),)
    details = (said("Licence of the model", p.model_licence), *_size(case))
    parts = (
        Section("5.1", "Model details", details),
        Section("5.2", "Uses", uses),
        Section("5.3", "Bias, risks and limitations", limits),
        Section("5.4", "Training data", (_training_data(case),)),
        Section("5.5", "Training procedure", (), (_procedure(case),)),
        Section("5.6", "Training hyper-parameters", (), tuple(_hyper_parameters(one) for one in ingredients.trainings)),
        Section(
            "5.7", "Evaluation", (), tuple(_measures(one) for one in (*ingredients.evaluations,)) or (_no_evaluation(),)
        ),
        _impact(case),
        Section("5.9", "Decisions", (), (_decisions(case),)),
    )
    return Section("5", "Model card", (), (), parts)


def _or_readme(label: str, stated: str, readme: str) -> Line:
    if stated or not readme:
        return said(label, stated)
    return Line(label, "recorded", (f"As the exported model's README says: {readme}",))


def _size(case: Case) -> list[Line]:
    subject = case.ingredients.subject
    names = [
        name for name in ("transformer_parameters", "enhancer_parameters", "exported_bytes") if name in subject.measures
    ]
    return [held(name.replace("_", " ").capitalize(), (recorded(subject, "measures", name),)) for name in names]


def _training_data(case: Case) -> Line:
    if not case.offered:
        return held("Images", (), "no training above this record says what it could draw")
    offered, drawn = (case.evidence.figure("union", links) for links in (case.offered, case.drawn))
    return held(
        "Images", (offered, " that trainings could draw, of which ", drawn, " reached the weights; see 2 and 4")
    )


def _procedure(case: Case) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for record in case.ingredients.trainings:
        offered, drawn = (_count(record, role) for role in ("offered", "drawn"))
        spans = [
            Link(record.id, pointer("samples", "consumed", at, name))
            for at in range(len(record.samples.consumed))
            for name in ("start", "stop")
        ]
        positions: Cell = (case.evidence.figure("spans", spans),) if spans else ("not recorded",)
        times = [Link(record.id, pointer(name)) for name in ("started_at", "ended_at")]
        took = (case.evidence.figure("seconds", times),)
        rows.append(
            ((recorded(record, "subject"),), offered, drawn, positions, took, (recorded(record, "started_at"),))
        )
    header = ("training", "offered", "drawn", "positions consumed", "seconds", "started")
    return Table("Trainings, in order", header, tuple(rows))


def _count(record: Record, role: str) -> Cell:
    place = next((at for at, one in enumerate(record.samples.sets) if one.role == role), None)
    return ("not recorded",) if place is None else (recorded(record, "samples", "sets", place, "count"),)


def _hyper_parameters(record: Record) -> Table:
    rows = [
        ((".".join(map(str, place[1:])),), listed(_shown(record, place, value)) or ("none",))
        for place, value in _leaves(record.parameters, ("parameters",))
    ]
    return Table(record.subject, ("parameter", "value"), tuple(rows))


def _leaves(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Scalars, and lists of nothing else, with their places; what is null is left out."""
    if isinstance(value, Mapping):
        for name, one in cast(Mapping[str, Any], value).items():
            yield from _leaves(one, (*place, name))
    elif isinstance(value, list | tuple) and any(isinstance(one, dict | list) for one in cast(Sequence[Any], value)):
        for number, one in enumerate(cast(Sequence[Any], value)):
            yield from _leaves(one, (*place, number))
    elif value is not None:
        yield place, value


def _shown(record: Record, place: tuple[str | int, ...], value: Any) -> list[Figure]:
    if isinstance(value, list | tuple):
        return [recorded(record, *place, number) for number in range(len(cast(Sequence[Any], value)))]
    return [recorded(record, *place)]


def _measures(record: Record) -> Table:
    rows = [((name,), (recorded(record, "measures", name),)) for name in sorted(record.measures)]
    return Table(f"Measures of {record.subject}", ("measure", "value"), tuple(rows))


def _no_evaluation() -> Table:
    return Table("Measures", ("measure", "value"), (), "", "no evaluation stands above this record")


def _impact(case: Case) -> Section:
    records = (*case.ingredients.records, *case.ingredients.evaluations)
    placed = [one for one in records if "seconds" in one.place]
    seconds = [Link(one.id, "/place/seconds") for one in placed]
    gpu = [Link(one.id, "/place/gpu_seconds") for one in placed if "gpu_seconds" in one.place]
    cpu = [
        Link(one.id, f"/place/{name}")
        for one in placed
        if "cpu_count" in one.place
        for name in ("seconds", "cpu_count")
    ]
    machines = dict[str, Figure]()
    for one in records:
        for name in ("cpu", "hardware"):
            if one.place.get(name):
                machines.setdefault(str(one.place[name]), recorded(one, "place", name))
        for at, name in enumerate(one.place.get("gpus", ())):
            machines.setdefault(name, recorded(one, "place", "gpus", at))
    figure = case.evidence.figure
    unseen = [Link(one.id, "") for one in records if "seconds" not in one.place]
    lines = (
        held("Hardware", listed(machines.values())),
        held("Seconds of all stages", (figure("sum", seconds),) if seconds else ()),
        held("GPU-seconds", (figure("sum", gpu),) if gpu else ()),
        held("CPU-seconds, at most (seconds times processors)", (figure("products", cpu),) if cpu else ()),
        held("Stages whose time is not known", (figure("count", unseen),), ""),
        said("Energy and carbon", case.provider.carbon),
    )
    return Section("5.8", "Environmental impact", lines)


def _reason(decision: Record) -> Cell:
    """Why it was decided; what somebody wrote who wanted an image gone may name them, and stays in the record."""
    if decision.kind == "takedown":
        return ("stands in the record",)
    return (recorded(decision, "people", "reason"),) if decision.people.get("reason") else (NOWHERE,)


def _decisions(case: Case) -> Table:
    rows = [
        (
            (recorded(one, "kind"),),
            (recorded(one, "subject"),),
            (recorded(one, "ended_at"),),
            (next((recorded(one, "decision", key) for key in ("result", "state") if one.decision.get(key)), NOWHERE),),
            _reason(one),
        )
        for one in case.ingredients.decisions
    ]
    return Table("Decisions about it", ("what", "about", "when", "result", "why"), tuple(rows))
