import io
import json

import pytest
from ledgers import sha
from pictured import TAKEN_DOWN, hostile_picture, planted_picture, planted_records
from prov.model import ProvDocument

from components.lineage.exporters.prov import export_prov, read_prov
from components.lineage.exporters.records import picture
from components.lineage.record import Item, Record

HOSTILE = 'a "quoted" <b>line</b>\n\u202e${x} easel:model http://example.org/ \\ 图'


def refused(document):
    """Whether PROV's own reader, or ours, refuses the document."""
    text = json.dumps(document)
    with pytest.raises(ValueError, match="no PROV-JSON of ours"):
        read_prov(text)
    return True


@pytest.fixture(scope="module")
def document():
    return json.loads(export_prov(planted_picture()))


def test_its_own_library_reads_it_and_writes_it_again_unchanged():
    text = export_prov(planted_picture())
    document = ProvDocument.deserialize(io.StringIO(text), format="json")
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert document == again
    assert document.unified() == again.unified()


def test_what_is_read_back_has_the_same_nodes_and_edges():
    planted = planted_picture()
    assert read_prov(export_prov(planted)) == planted.outline
    assert {edge.kind for edge in planted.edges} >= {"used", "generated", "derived", "trained_on", "invalidated"}


def test_a_takedown_invalidates_the_sample(document):
    (gone,) = document["wasInvalidatedBy"].values()
    assert gone["prov:entity"] == f"thing:{TAKEN_DOWN}"
    assert gone["prov:time"].startswith("2026-11-22T09:00:01.5")


def test_every_digest_of_the_records_is_an_entity(document):
    records, _ = planted_records()
    wanted = {item.sha256 for record in records for item in (*record.inputs, *record.outputs)}
    wanted |= {one.root for record in records for one in record.samples.sets} | {TAKEN_DOWN}
    assert {name.removeprefix("thing:") for name in document["entity"]} == wanted


AT = "2026-11-21T20:00:00.000Z"


def twins(*roles):
    """A record whose outputs, and inputs, are the same bytes under several roles."""
    items = tuple(Item(role=role, path=f"artifacts/{role}.parquet", sha256=sha("same"), size=1) for role in roles)
    first = Record(kind="stage", subject="make", started_at=AT, ended_at=AT, outputs=items)
    return picture([first, Record(kind="stage", subject="read", started_at=AT, ended_at=AT, inputs=items)], first.id)


def test_bytes_that_an_activity_wrote_twice_were_generated_once():
    planted = twins("refused", "quarantined")
    written = json.loads(export_prov(planted))
    (made,) = written["wasGeneratedBy"].values()
    assert sorted(made["prov:role"]) == ["quarantined", "refused"]
    assert read_prov(export_prov(planted)) == planted.outline
    assert {edge.role for edge in planted.edges if edge.kind == "used"} == {"refused", "quarantined"}


def test_an_entity_is_generated_and_invalidated_once_by_an_activity(document):
    for kind in ("wasGeneratedBy", "wasInvalidatedBy"):  # PROV-CONSTRAINTS, constraints 24 and 25
        ends = [(one["prov:entity"], one["prov:activity"]) for one in document[kind].values()]
        assert len(ends) == len(set(ends)) > 0


def test_relations_have_one_name_in_every_document():
    names = {}
    records, subject = planted_records()
    for told in (records, records[:-1], records[3:]):
        about = subject if subject in {one.id for one in told} else told[-1].id
        for kind, relations in json.loads(export_prov(picture(told, about))).items():
            if kind not in ("prefix", "entity", "activity", "agent"):
                for name, relation in relations.items():
                    ends = sorted(map(str, relation.items()))
                    assert names.setdefault(name, (kind, ends)) == (kind, ends)


def test_equal_records_in_any_order_give_equal_bytes():
    records, subject = planted_records()
    assert export_prov(picture(records[::-1], subject)) == export_prov(picture(records, subject))


def test_texts_of_the_data_stay_texts():
    planted = hostile_picture(HOSTILE)
    assert read_prov(export_prov(planted)) == planted.outline
    (agent,) = json.loads(export_prov(planted))["agent"].values()
    assert agent["prov:label"] == HOSTILE


def test_a_lost_edge_shows(document):
    lost = json.loads(json.dumps(document))
    lost["used"].popitem()
    assert read_prov(json.dumps(lost)) != planted_picture().outline


@pytest.mark.parametrize(
    ("where", "mistake"),
    [
        ("activity", {"prov:startTime": "yesterday"}),
        ("used", {"prov:entity": 3}),
        ("wasGeneratedBy", {"prov:activity": "unknown_prefix:x"}),
    ],
)
def test_a_planted_mistake_is_refused(document, where, mistake):
    broken = json.loads(json.dumps(document))
    broken[where][next(iter(broken[where]))] |= mistake
    assert refused(broken)


def test_other_json_is_refused():
    assert refused([1])
    assert refused({"entity": {"thing:x": 3}})
