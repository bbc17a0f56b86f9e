"""The audit summary of a planted chain: its figures are the planted ones, and a changed one is found."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audited import Audited, audited

from components.lineage.audit.build import DRAFT, audit_document
from components.lineage.audit.document import (
    AuditError,
    Document,
    Figure,
    Line,
    Section,
    Table,
    document_json,
    figures,
    missing,
    sections,
)
from components.lineage.audit.figures import Evidence, check_figures, check_links, read_figures
from components.lineage.audit.ingredients import ingredients_of
from components.lineage.audit.provider import Provider, Source
from components.lineage.errors import LedgerError
from components.lineage.record import Item, Record

VERSIONS = "Versions in the ledger's decisions"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited(tmp_path_factory.mktemp("audited"))


@pytest.fixture(scope="module")
def document(planted: Audited) -> Document:
    return audit_document(planted.graph, planted.record("export_turbo"), planted, tables=planted.tables)


def line(document: Document, number: str, label: str) -> Line:
    (section,) = (one for one in sections(document) if one.number == number)
    (found,) = (one for one in section.lines if one.label == label)
    return found


def table(document: Document, title: str) -> Table:
    (found,) = (table for section in sections(document) for table in section.tables if table.title == title)
    return found


def values(table: Table) -> list[list[Any]]:
    return [[value_of(cell) for cell in row] for row in table.rows]


def value_of(cell: tuple[Any, ...]) -> Any:
    first = cell[0]
    return first.value if isinstance(first, Figure) else first


def offered(planted: Audited) -> set[str]:
    """What the trainings of Turbo's chain could draw."""
    return {one for stage in ("pretrain_1", "sft", "distill") for one in planted.samples[f"offered_{stage}"]}


def drawn(planted: Audited) -> set[str]:
    return {one for stage in ("pretrain_1", "sft", "distill") for one in planted.samples[f"drawn_{stage}"]}


def test_images_are_counted_once_however_many_trainings_drew_them(planted: Audited, document: Document) -> None:
    (row,) = values(table(document, "Modalities"))
    assert row[:3] == ["image", "less than 1 million images", len(offered(planted))]
    assert value_of(line(document, "1.3", "Images that reached the weights").parts) == len(drawn(planted))


def test_images_whose_words_were_read_are_not_said_to_have_stayed_out_of_the_weights(planted: Audited) -> None:
    """Images of the pre-training, all of which the enhancer knew by their captions too."""
    sets = planted.record("pretrain_1").samples.sets
    export = planted.record("export_turbo")
    words = Item(role="wishes", path="artifacts/tables/wishes.parquet", sha256="1" * 64, size=1)
    made = Item(role="enhancer", path="artifacts/models/enhancer", sha256="2" * 64, size=1)
    about = {"subject": "enhancer", "inputs": (words,), "outputs": (made,), "fingerprint": "3" * 64}
    enhancer = export.model_copy(
        update={**about, "parents": (), "samples": export.samples.model_copy(update={"sets": sets})}
    )
    read = made.model_copy(update={"made_by": enhancer.id})
    both = export.model_copy(update={"inputs": (*export.inputs, read)})
    told = replace(planted, records=[*planted.records, enhancer, both])
    found = audit_document(told.graph, both, told, tables=told.tables)
    reached = line(found, "1.3", "Images that reached the weights").parts
    by_words = line(found, "1.3", "Images whose words were read without them").parts
    assert value_of(by_words) == len(planted.samples["offered_pretrain_1"])
    assert value_of(reached) == len(drawn(planted))  # among them all those that the enhancer knew
    assert "others may have drawn the same images" in str(by_words[1])
    credits = table(found, "Creators and attributions")
    assert credits.header[-1] == "words alone"
    assert "others may have drawn them as well" in credits.note


def test_licences_and_attributions_are_those_of_the_offered_images_in_full(
    planted: Audited, document: Document
) -> None:
    expected = Counter(planted.words[one][:3] for one in offered(planted) if one in planted.words)
    reached = Counter(planted.words[one][:3] for one in drawn(planted) if one in planted.words)
    rows = values(table(document, "Creators and attributions"))
    assert {tuple(row[:3]): row[3] for row in rows} == expected
    assert {tuple(row[:3]): row[4] for row in rows} == reached
    by_licence = {row[0]: row[1] for row in values(table(document, "Licences"))}
    assert by_licence == Counter(planted.words[one][0] for one in offered(planted) if one in planted.words)
    assert sum(by_licence.values()) + value_of(line(document, "2", "Images without a row in any catalogue").parts) == (
        len(offered(planted))
    )


def test_domains_come_from_addresses_of_images(planted: Audited, document: Document) -> None:
    hosts = Counter(planted.words[one][4].split("/")[2] for one in offered(planted) if one in planted.words)
    assert {row[0]: row[1] for row in values(table(document, "Domains of image addresses"))} == hosts


def test_every_drop_is_told_with_its_reason(document: Document) -> None:
    rows = values(table(document, "Samples dropped"))
    assert rows == [["filter_images", "too_small", 3], ["filter_images", "unsafe", 1]]
    assert value_of(line(document, "3.2", "Images dropped as unsafe").parts) == 1


def test_what_was_only_compared_is_no_part_of_the_model(planted: Audited) -> None:
    found = ingredients_of(planted.graph, planted.record("export"))
    subjects = {record.subject for record in found.records}
    assert "distill" not in subjects
    assert {"sft", "pretrain_1", "ingest", "render_text"} <= subjects
    assert [record.subject for record in found.evaluations] == ["evaluate"]
    assert [record.subject for record in ingredients_of(planted.graph, planted.record("export_turbo")).decisions] == [
        "easel-turbo"
    ]


def test_a_decision_leads_to_the_model_it_is_about(planted: Audited) -> None:
    found = ingredients_of(planted.graph, planted.record("promotion"))
    assert {"distill", "export_turbo"} <= {record.subject for record in found.records}


def test_decisions_are_told_with_their_result_and_reason_and_without_names(planted: Audited) -> None:
    refused = planted.record("promotion").model_copy(
        update={"decision": {"version": 2, "result": "refused by the gate"}, "attempt": 2}
    )
    told = replace(planted, records=[*planted.records, refused])
    found = audit_document(told.graph, told.record("export_turbo"), told)
    rows = values(table(found, "Decisions about it"))
    assert [row[3:] for row in rows] == [
        ["promoted", "draws what is asked"],
        ["refused by the gate", "draws what is asked"],
    ]
    versions = [part if isinstance(part, str) else str(part.value) for part in line(found, "1.2", VERSIONS).parts]
    assert "".join(versions) == (
        "easel-turbo version 1 (promotion: promoted); easel-turbo version 2 (promotion: refused by the gate)"
    )
    said = json.dumps(document_json(found))
    assert "ann" not in said.replace("annot", "")
    assert '"ben"' not in said


def takedown(state: str, minute: int, parents: tuple[str, ...] = ()) -> Record:
    at = f"2026-11-23T20:{minute:02d}:00.000Z"
    people = {"asked_by": "Jane Roe", "reason": "the girl in it is Jane Roe"}
    decision = {"state": state, "was_seen": True, "matches": []}
    return Record(
        kind="takedown", subject="takedown", parents=parents, started_at=at, ended_at=at, people=people,
        decision=decision,
    )  # fmt: skip


def test_a_takedown_counts_once_and_its_reason_is_not_published(planted: Audited) -> None:
    asked, again = takedown("requested", 1), takedown("requested", 3)
    told = replace(planted, records=[*planted.records, asked, takedown("completed", 2, (asked.id,)), again])
    found = audit_document(told.graph, told.record("export_turbo"), told)
    assert [part.value for part in line(found, "3.1", "Takedowns in the ledger").parts if isinstance(part, Figure)] == [
        1
    ]
    unfinished = line(found, "3.1", "Takedowns asked for and not finished").parts
    assert [(part.value, part.links[0].record) for part in unfinished if isinstance(part, Figure)] == [(1, again.id)]
    rows = values(table(found, "Decisions about it"))[1:]
    assert [row[3:] for row in rows] == [[state, "stands in the record"] for state in STATES]
    assert "Jane" not in json.dumps(document_json(found))


STATES = ("requested", "completed", "requested")


def test_nothing_is_invented_where_nobody_said_anything(planted: Audited, document: Document) -> None:
    lacking = missing(document)
    assert "1.1 Provider name" in lacking
    assert "1.2 Date of placement on the Union market" in lacking
    for section in sections(document):
        for one in section.lines:
            assert one.state != "not stated" or not any(isinstance(part, Figure) for part in one.parts)
    assert line(document, "5.8", "GPU-seconds").state == "not recorded"
    assert document.draft == DRAFT
    assert "draft" in DRAFT
    kinds = Provider(name="Ann's", sources={"meadow": Source(kind="public"), "street": Source(kind="licensed")})
    told = audit_document(planted.graph, planted.record("export_turbo"), planted, tables=planted.tables, provider=kinds)
    assert line(told, "1.1", "Provider name") == Line("Provider name", "stated", ("Ann's",))
    assert line(told, "2", "Kind of every source").state == "stated"
    assert line(told, "2.1", "Sources").parts == ("meadow",)
    assert line(told, "2.2.1", "Sources").parts == ("street",)
    assert line(told, "2.4", "Used").parts == ("no",)
    assert len(missing(told)) == len(lacking) - 2


def test_without_the_catalogue_licences_are_those_that_records_name(planted: Audited) -> None:
    found = audit_document(planted.graph, planted.record("export_turbo"), planted)
    assert {row[1]: row[2] for row in values(table(found, "Licences, as recorded"))} == {"CC0-1.0": 40, "CC-BY-4.0": 20}
    assert line(found, "2", "Sources by name").state == "not recorded"
    assert check_links(found, planted) > 30


def test_every_figure_holds_and_each_changed_one_is_found(planted: Audited, document: Document) -> None:
    number = check_links(document, planted, planted.tables)
    assert number == len(list(figures(document))) > 60
    assert read_figures(json.loads(json.dumps(document_json(document)))) == list(figures(document))
    for at, figure in enumerate(figures(document)):  # of those that ask a database every twentieth
        wrong = figure.value + 1 if isinstance(figure.value, int) else f"{figure.value}0"
        if figure.rule not in ("union", "unlisted", "tally") or at % 20 == 0:
            with pytest.raises(AuditError, match="figure 1 says"):
                check_figures([replace(figure, value=wrong)], planted, planted.tables)


def test_a_figure_in_the_document_is_found_wrong_by_its_place(planted: Audited, document: Document) -> None:
    def wrong(section: Section) -> Section:
        lines = tuple(replace(one, parts=tuple(map(more, one.parts))) for one in section.lines)
        return replace(section, lines=lines, parts=tuple(map(wrong, section.parts)))

    def more(part: Any) -> Any:
        return replace(part, value=part.value + 1) if isinstance(part, Figure) and part.value == 47 else part

    changed = replace(document, sections=tuple(map(wrong, document.sections)))
    with pytest.raises(AuditError, match=r"says 48, but union at record:[0-9a-f]{64}#/samples/sets/1/root is 47"):
        check_links(changed, planted, planted.tables)


def test_links_that_lead_nowhere_are_refused(planted: Audited, document: Document) -> None:
    first = next(figures(document))
    astray = replace(first, links=(replace(first.links[0], pointer="/decision/nothing"),))
    with pytest.raises(AuditError, match="#/decision/nothing: nothing stands there"):
        check_figures([astray], planted)
    for text in ("rule", "links"):
        with pytest.raises(AuditError):
            read_figures({"sections": [{"value": 1, "rule": "is", "links": ["record:ab#/x"], text: ["nonsense"]}]
                          if text == "links" else [{"value": 1, "rule": "guess", "links": []}]})  # fmt: skip
    with pytest.raises(AuditError, match="no audit summary"):
        read_figures([])


def test_an_edited_catalogue_or_set_is_not_believed(planted: Audited, document: Document, tmp_path: Path) -> None:
    ((sha256, file),) = planted.tables.items()
    edited = tmp_path / "catalogue.parquet"
    edited.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(AuditError, match="run `dvc checkout`"):
        check_links(document, planted, {sha256: edited})
    with pytest.raises(AuditError, match="is not here"):
        check_links(document, planted)
    root = planted.record("pretrain_1").samples.sets[0].root
    forged = replace(planted, sets=planted.sets | {root: planted.sets[root][:-32] + b"\xff" * 32})
    with pytest.raises(AuditError, match="do not have this root"):
        check_links(document, forged, planted.tables)
    lacking = replace(planted, sets={name: data for name, data in planted.sets.items() if name != root})
    with pytest.raises(LedgerError, match=f"sets/{root}: not there"):
        check_links(document, lacking, planted.tables)


def test_what_records_say_against_themselves_stands_once(planted: Audited) -> None:
    at = {"kind": "stage", "started_at": "2026-11-21T20:00:00.000Z", "ended_at": "2026-11-21T20:00:00.000Z"}
    made = Item(role="model", path="artifacts/models/x", sha256="ab" * 32, size=1)
    first = Record.model_validate(at | {"subject": "first", "outputs": (made,), "notes": ("made of dirty code",)})
    inputs = (
        made.model_copy(update={"made_by": first.id}),
        Item(role="y", path="y", sha256="0", size=1, made_by="cd" * 32),
    )
    second = Record.model_validate(at | {"subject": "second", "inputs": inputs, "notes": ("made of dirty code",)})
    told = replace(planted, records=[first, second])
    assert audit_document(told.graph, second, told).remarks == (
        "record cdcdcdcdcdcd is named by others, and the ledger does not hold it",
        f"made of dirty code: first ({first.id[:8]}), second ({second.id[:8]})",
    )


def rules() -> Iterator[tuple[str, tuple[str, ...], int | str]]:
    yield "sum", ("/samples/dropped/too_small", "/samples/dropped/unsafe"), 4
    yield "count", ("", "/subject"), 2
    yield "products", ("/samples/dropped/too_small", "/samples/dropped/too_small"), 9
    yield "spans", ("/samples/dropped/unsafe", "/samples/dropped/too_small"), 2
    yield "seconds", ("/started_at", "/ended_at"), 11
    yield "earliest", ("/ended_at", "/started_at"), "2026-11-21T20:01:00.000Z"
    yield "latest", ("/ended_at", "/started_at"), "2026-11-21T20:01:11.000Z"


@pytest.mark.parametrize(("rule", "places", "expected"), list(rules()))
def test_rules(planted: Audited, rule: Any, places: tuple[str, ...], expected: int | str) -> None:
    from components.lineage.audit.document import Link

    links = [Link(planted.ids["filter_images"], place) for place in places]
    assert Evidence(planted).figure(rule, links).value == expected
    if rule in ("products", "spans", "seconds"):
        with pytest.raises(AuditError, match=f"no {rule} of what stands there"):
            Evidence(planted).figure(rule, links[:1])
