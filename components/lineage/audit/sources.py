"""Sections 2 and 3 of the summary: where the images came from, and what was done to them before training."""

from collections.abc import Sequence

from components.lineage.audit.document import Cell, Figure, Line, Link, Section, Table, link, recorded
from components.lineage.audit.provider import Kind
from components.lineage.audit.summary import KINDS, MAX_DOMAINS, Case, held, listed, said
from components.lineage.record import Record

NO_TABLE = "the catalogue that names sources and licences is not in this workspace; `dvc checkout` brings it"


def sources(case: Case) -> Section:
    """Section 2: every source of images by what kind the provider says that it is."""
    tables = [_read(case)]
    if not (case.offered and case.tables):
        why = NO_TABLE if case.offered else "no record of a training says what it could draw"
        lines = [Line("Sources by name", "not recorded", (why,))]
        names, unsaid = [], ["every source"]
    else:
        names = sorted(name for (name,) in case.evidence.tally((*case.tables, *case.offered), ("source",)))
        unsaid = [name for name in names if name not in case.provider.sources]
        bare = case.evidence.figure("unlisted", (*case.tables, *case.offered))
        lines = [
            Line("Kind of every source", "not stated", (f"missing: {', '.join(unsaid)}",))
            if unsaid
            else Line("Kind of every source", "stated", ("see the table",)),
            held("Images without a row in any catalogue", (bare, " (images that this chain drew have none: see 2.5)")),
        ]
        tables.append(_source_table(case, names))
    parts = tuple(_kind(case, kind, names, unsaid) for kind in KINDS)
    return Section("2", "List of data sources", tuple(lines), tuple(tables), parts)


def _read(case: Case) -> Table:
    """Files and folders that stages read and no record made, each digest once."""
    made = {item.sha256 for record in case.ingredients.records for item in record.outputs}
    found = dict[str, tuple[Cell, ...]]()
    for record in case.ingredients.records:
        for at, item in enumerate(record.inputs):
            if not item.made_by and item.sha256 not in made:
                cells = ((recorded(record, "inputs", at, name),) for name in ("path", "sha256", "count", "size"))
                found.setdefault(item.sha256, tuple(cells))
    header = ("path", "SHA-256", "files", "bytes")
    return Table("What stages read and no record made", header, tuple(found.values()), empty="nothing")


def _source_table(case: Case, names: Sequence[str]) -> Table:
    said_of = case.provider.sources
    rows = [
        (
            (name or "(no name)",),
            (said_of[name].kind if name in said_of else "not stated",),
            _words(case, name),
            (_count(case, case.offered, "source", name),),
            (_count(case, case.drawn, "source", name),),
        )
        for name in names
    ]
    header = ("source", "kind (as stated)", "title, address, dates (as stated)", "offered images", "drawn images")
    note = "Offered: a training could draw them. Drawn: they reached the weights."
    return Table("Sources of images", header, tuple(rows), note)


def _words(case: Case, name: str) -> Cell:
    one = case.provider.sources.get(name)
    told = [one.title, one.address, one.collected, one.description] if one else []
    return ("; ".join(filter(None, told)) or "not stated",)


def _count(case: Case, sets: Sequence[Link], column: str, value: str) -> Figure:
    return case.evidence.figure("tally", (*case.tables, *sets), {column: value})


def _kind(case: Case, kind: Kind, names: Sequence[str], unsaid: Sequence[str]) -> Section:
    number, title = KINDS[kind]
    these = [name for name in names if name in case.provider.sources and case.provider.sources[name].kind == kind]
    drawn = _generated(case).rows if kind == "synthetic" else ()
    if drawn and not these:
        lines = [Line("Used", "recorded", ("stages of this chain drew images, see the table",))]
    elif these:
        lines = [Line("Used", "stated", ("yes",)), Line("Sources", "stated", (", ".join(these),))]
    elif unsaid:
        lines = [Line("Used", "not recorded", ("not known while sources have no kind",))]
    else:
        lines = [Line("Used", "stated", ("no",))]
    tables: tuple[Table, ...] = ()
    p = case.provider
    match kind:
        case "crawled":
            lines += [said("Were crawlers used by the provider or on its behalf", p.used_crawlers)]
            lines += [said("Crawlers: names, purposes, behaviour, period", p.crawlers)] if p.used_crawlers else []
            tables = (_domains(case),)
        case "user":
            lines += [
                said("Data from users' interactions with the model", p.used_prompts_of_users),
                said("Data from users of the provider's other services", p.used_data_of_other_services),
            ]
            lines += [said("Services or products concerned", p.services)] if p.used_data_of_other_services else []
        case "synthetic":
            lines += [held("Models that wrote texts", listed(_writers(case)), "none is named in parameters")]
            tables = (_generated(case),)
        case _:
            pass
    return Section(number, title, tuple(lines), tables)


def _domains(case: Case) -> Table:
    """The domains of image addresses by their number of images."""
    links = (*case.tables, *case.offered)
    counted = case.evidence.tally(links, ("domain",)) if case.tables and case.offered else {}
    names = sorted((name for (name,) in counted if name), key=lambda name: (-counted[(name,)], name))
    shown = names[: max(MAX_DOMAINS, -(-len(names) // 10))]
    rows = [((name,), (_count(case, case.offered, "domain", name),)) for name in shown]
    note = "Only the tenth with the most images; the others have fewer." if len(shown) < len(names) else ""
    return Table(
        "Domains of image addresses",
        ("domain", "offered images"),
        tuple(rows),
        note,
        "none" if case.tables else "not recorded",
    )


def _generated(case: Case) -> Table:
    """Sets that a stage of ours drew, and which models it read."""
    rows: list[tuple[Cell, ...]] = []
    for record in case.ingredients.records:
        for place, one in enumerate(record.samples.sets):
            if one.role == "generated":
                read = [recorded(record, "inputs", at, "path") for at, _ in _models_read(record)]
                count = recorded(record, "samples", "sets", place, "count")
                rows.append(((recorded(record, "subject"),), (count,), listed(read) or ("none: drawn by a program",)))
    return Table("Images made by stages of this chain", ("stage", "images", "models that it read"), tuple(rows))


def _models_read(record: Record) -> list[tuple[int, str]]:
    return [(at, item.path) for at, item in enumerate(record.inputs) if "models/" in item.path]


def _writers(case: Case) -> list[Figure]:
    """Models that a stage was told to let write texts: endpoints, captioners."""
    found = dict[str, Figure]()
    for place, value in case.ingredients.parameters("model"):
        if isinstance(value, str) and value:
            found.setdefault(value, Figure(value, "is", (place,)))
    return list(found.values())


def processing(case: Case) -> Section:
    """Section 3: rights reserved, illegal content, and everything else that was dropped."""
    p, ingredients = case.provider, case.ingredients
    lists = {one.samples.opt_out: one for one in ingredients.records if one.samples.opt_out}
    done, asked = _takedowns(ingredients.decisions)
    rights = (
        said("Signatory of the Code of Practice for general-purpose AI models", p.signed_code_of_practice),
        held(
            "Opt-out lists in force (SHA-256)",
            listed(recorded(one, "samples", "opt_out") for one in lists.values()),
            "no record names an opt-out list",
        ),
        held("Images left out as opted out", _left_out(ingredients.records, "opted_out")),
        held("Takedowns in the ledger", (case.evidence.figure("count", done),) if done else (), "none recorded"),
        *([held("Takedowns asked for and not finished", (case.evidence.figure("count", asked),))] if asked else []),
        said("Measures to respect reservations of rights", p.rights_reservation_measures),
        said("Copyright policy", p.copyright_policy),
    )
    illegal = (
        held("Images dropped as unsafe", _left_out(ingredients.records, "unsafe")),
        held("Images dropped as damaged", _left_out(ingredients.records, "damaged")),
        said("Measures against illegal content", p.illegal_content_measures),
    )
    return Section(
        "3",
        "Data processing aspects",
        parts=(
            Section("3.1", "Respect of reservations of rights", rights),
            Section("3.2", "Removal of illegal content", illegal),
            Section("3.3", "Other: what was dropped, and what was checked", (), (_dropped(case), _checks(case))),
        ),
    )


def _takedowns(decisions: Sequence[Record]) -> tuple[list[Link], list[Link]]:
    """Takedowns that were finished, and requests that no such record stands on: every takedown leaves one of both."""
    every = [one for one in decisions if one.kind == "takedown"]
    done = [one for one in every if one.decision.get("state", "completed") == "completed"]
    answered = {parent for one in done for parent in one.parents}
    asked = [one for one in every if one not in done and one.id not in answered]
    return [link(one)[0] for one in done], [link(one)[0] for one in asked]


def _left_out(records: Sequence[Record], reason: str) -> Cell:
    """How many images each record says that it dropped for that reason; 0 is only said where it was measured."""
    found = [
        recorded(one, "samples", "dropped", reason)
        if reason in one.samples.dropped
        else recorded(one, "measures", f"{reason}_images")
        for one in records
        if reason in one.samples.dropped or f"{reason}_images" in one.measures
    ]
    return listed(found, " + ")


def _dropped(case: Case) -> Table:
    rows = [
        ((recorded(record, "subject"),), (reason,), (recorded(record, "samples", "dropped", reason),))
        for record in case.ingredients.records
        for reason in sorted(record.samples.dropped)
    ]
    return Table("Samples dropped", ("stage", "reason", "samples"), tuple(rows))


def _checks(case: Case) -> Table:
    """How many expectations each stage's tables met; those that failed and were waived by name."""
    rows: list[tuple[Cell, ...]] = []
    for record in case.ingredients.records:
        places = [link(record, "checks", at)[0] for at, one in enumerate(record.checks) if one.is_passed]
        failed = [at for at, one in enumerate(record.checks) if not one.is_passed]
        waived = listed(recorded(record, "checks", at, "name") for at in failed)
        if record.checks:
            met = (case.evidence.figure("count", places),)
            rows.append(((recorded(record, "subject"),), met, waived or ("none",)))
    return Table("Expectations on data and models", ("stage", "met", "failed"), tuple(rows))


def licences(case: Case) -> Section:
    """Every licence with its number of images, and every creator and attribution, in full."""
    found = case.ingredients.catalogues()
    lines = [
        held(f"SHA-256 of {item.path}", (Figure(item.sha256, "is", (place,)),))
        if case.evidence.has_table(item.sha256)
        else Line(f"Creators and attributions of {item.path}", "not recorded", (NO_TABLE,))
        for item, place in found
    ]
    return Section("4", "Licences and attributions", tuple(lines), _by_licence(case) + _credits(case))


def _by_licence(case: Case) -> tuple[Table, ...]:
    """Images by licence: counted in the catalogues, or, where those are not at hand, as records say of them."""
    if case.tables and case.offered:
        names = sorted(name for (name,) in case.evidence.tally((*case.tables, *case.offered), ("licence",)))
        rows = [
            (
                (name or "not stated in the catalogue",),
                (_count(case, case.offered, "licence", name),),
                (_count(case, case.drawn, "licence", name),),
            )
            for name in names
        ]
        return (Table("Licences", ("licence", "offered images", "drawn images"), tuple(rows)),)
    recorded_rows = [
        ((recorded(record, "subject"), " ", item.path), (name,), (recorded(record, "outputs", at, "licences", name),))
        for record in case.ingredients.records
        for at, item in enumerate(record.outputs)
        for name in sorted(item.licences)
        if item.path.endswith("catalogue.parquet")
    ]
    note = "Of everything that was catalogued, whether a training could draw it or not."
    return (Table("Licences, as recorded", ("catalogue", "licence", "images"), tuple(recorded_rows), note),)


def _credits(case: Case) -> tuple[Table, ...]:
    if not (case.tables and (case.offered or case.words)):
        return ()
    by = ("licence", "creator", "attribution")
    everything = tuple(dict.fromkeys((*case.offered, *case.words)))
    groups = sorted(case.evidence.tally((*case.tables, *everything), by))
    counted = [sets for sets in (case.offered, case.drawn, case.words) if sets]
    names = [
        name
        for name, sets in (("offered images", case.offered), ("drawn images", case.drawn), ("words alone", case.words))
        if sets
    ]
    rows = [
        (
            *((value or "not stated",) for value in group),
            *(
                (case.evidence.figure("tally", (*case.tables, *sets), dict(zip(by, group, strict=True))),)
                for sets in counted
            ),
        )
        for group in groups
    ]
    note = "Words alone: a training that read no image read what is said of these; others may have drawn them as well."
    return (Table("Creators and attributions", (*by, *names), tuple(rows), note if case.words else ""),)
