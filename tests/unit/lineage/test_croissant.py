import hashlib
import json

import mlcroissant as mlc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rdflib
from ledgers import sha
from pictured import hostile_picture, planted_picture, planted_records

from components.lineage.exporters.croissant import export_croissant
from components.lineage.exporters.records import picture
from components.lineage.record import Item, Record, Samples, SampleSet

# mlcroissant uses what rdflib and pandas deprecate; not ours to mend.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ConjunctiveGraph is deprecated", "ignore:The inplace keyword in DataFra"
)
HOSTILE = 'a "quoted" <b>line</b>\n\u2028\u202e${x} \\ 图'
PROV = rdflib.Namespace("http://www.w3.org/ns/prov#")


def check(document):
    """Raise unless MLCommons' own library takes the document, as Croissant 1.1, without a remark."""
    metadata = mlc.Dataset(jsonld=json.loads(json.dumps(document))).metadata
    assert metadata.ctx.issues.report() == ""
    assert str(metadata.ctx.conforms_to.value) == "http://mlcommons.org/croissant/1.1"
    # What the specification requires and the library does not ask for.
    wanted = {"@context", "@type", "conformsTo", "creator", "datePublished", "description", "license", "name", "url"}
    assert wanted <= set(document)
    return metadata


@pytest.fixture(scope="module")
def document():
    return json.loads(export_croissant(planted_picture()))


def test_the_standards_own_library_takes_it_without_a_remark(document):
    check(document)


def test_what_was_read_dropped_and_taken_down_is_said_in_the_words_for_responsible_ai(document):
    metadata = check(document)
    assert document["conformsTo"][1] == "http://mlcommons.org/croissant/RAI/1.0"
    records, _ = planted_records()
    (source,) = {item.sha256 for record in records for item in record.inputs if item.path == "data"}
    (received,) = {one.root for record in records for one in record.samples.sets if one.role == "received"}
    assert metadata.data_collection == f"Read by the first stages, made by none: data (60 files, SHA-256 {source})."
    assert {one["@id"] for one in document["prov:wasDerivedFrom"]} == {
        f"urn:easel:thing:{x}" for x in (source, received)
    }
    (filtering,) = [record for record in records if record.samples.dropped]
    assert metadata.data_preprocessing_protocol == [
        f"filter_images (record {filtering.id}) dropped {count} images: {reason}"
        for reason, count in (("too_small", 3), ("unsafe", 1))
    ]
    assert f"takedown (record {records[-1].id})" in metadata.data_release_maintenance_plan
    assert metadata.personal_sensitive_information is None  # nobody said anything of it


def test_remarks_of_records_are_limits_of_the_data():
    document = json.loads(export_croissant(hostile_picture(HOSTILE)))
    (limit,) = document["rai:dataLimitations"]
    assert limit.endswith(f": {HOSTILE}")


def test_every_file_of_data_stands_there_with_its_digest(document):
    files = {one["contentUrl"]: one["sha256"] for one in document["distribution"] if one["@type"] == "cr:FileObject"}
    records, _ = planted_records()
    tables = {item.path: item.sha256 for record in records for item in record.outputs if item.path.endswith(".parquet")}
    assert files == tables
    folders = {one["includes"] for one in document["distribution"] if one["@type"] == "cr:FileSet"}
    assert folders >= {"artifacts/images/**", "artifacts/latents/**", "data/**"}


def test_sample_sets_can_be_read_as_records(document):
    records, _ = planted_records()
    wanted = {(one.root, one.count) for record in records for one in record.samples.sets}
    rows = list(mlc.Dataset(jsonld=document).records("sample_sets"))
    assert {(row["sample_sets/root"], row["sample_sets/count"]) for row in rows} == wanted


def test_provenance_is_prov_in_json_ld(document):
    graph = rdflib.Graph().parse(data=json.dumps(document), format="json-ld")
    made = {str(record) for _, _, record in graph.triples((None, PROV.wasGeneratedBy, None))}
    records, subject = planted_records()
    assert f"urn:easel:record:{subject}" in made
    makers = {f"urn:easel:record:{one.id}" for one in records if any(i.path.endswith(".parquet") for i in one.outputs)}
    assert makers <= made


def test_licences_are_addresses(document):
    assert document["license"] == [f"https://spdx.org/licenses/{name}.html" for name in ("CC-BY-4.0", "CC0-1.0")]


def test_equal_records_in_any_order_give_equal_bytes():
    records, subject = planted_records()
    assert export_croissant(picture(records[::-1], subject)) == export_croissant(picture(records, subject))


def test_texts_of_the_data_stay_texts():
    document = json.loads(export_croissant(hostile_picture(HOSTILE)))
    assert document["distribution"][0]["name"] == HOSTILE
    check(document)


def test_a_history_without_data_is_described_all_the_same():
    record = Record(
        kind="stage", subject="bare", started_at="2026-11-21T20:00:00.000Z", ended_at="2026-11-21T20:00:00.000Z"
    )
    check(json.loads(export_croissant(picture([record], record.id))))


def test_the_library_reads_the_samples_of_a_real_table(tmp_path):
    ids = [sha("one"), sha("two")]
    file = tmp_path / "artifacts" / "selection.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table({"sample_id": ids}), file)
    item = Item(
        role="selection", path="artifacts/selection.parquet", size=file.stat().st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )  # fmt: skip
    record = Record(
        kind="stage", subject="sample", started_at="2026-11-21T20:00:00.000Z", ended_at="2026-11-21T20:00:00.000Z",
        outputs=(item,), samples=Samples(sets=(SampleSet(role="offered", root=sha("root"), count=2),)),
    )  # fmt: skip
    described = tmp_path / "croissant.json"
    described.write_text(export_croissant(picture([record], record.id)))
    dataset = mlc.Dataset(jsonld=described)
    (name,) = [one.name for one in dataset.metadata.record_sets if one.name.startswith("samples-")]
    assert [row[f"{name}/sample_id"].decode() for row in dataset.records(name)] == ids


@pytest.mark.parametrize(
    "mistake",
    [
        lambda document: document.pop("name"),
        lambda document: document.pop("license"),
        lambda document: document["distribution"][-1].pop("encodingFormat"),
        lambda document: next(one for one in document["distribution"] if "sha256" in one).pop("contentUrl"),
        lambda document: document["distribution"][0].update({"@type": "cr:Thing"}),
        lambda document: document["recordSet"][0]["field"][0].pop("dataType"),
        lambda document: document["recordSet"][0]["field"][0]["source"]["fileObject"].update({"@id": "nowhere"}),
        lambda document: document.update(version="the first"),
    ],
)
def test_a_planted_mistake_is_refused(document, mistake):
    broken = json.loads(json.dumps(document))
    mistake(broken)
    with pytest.raises((mlc.ValidationError, AssertionError, ValueError, AttributeError)):
        check(broken)
