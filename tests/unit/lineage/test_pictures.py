"""The neutral picture that every exporter reads, against what was planted."""

import json
import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from ledgers import LICENCES, many_records, sample_records, sha
from license_expression import get_spdx_licensing
from pictured import TAKEN_DOWN, planted_picture, planted_records, takedown

from components.lineage.exporters.licences import KNOWN, address, expression, spdx_identifier
from components.lineage.exporters.model import Edge, flat, uuid_of
from components.lineage.exporters.records import picture
from components.lineage.record import Check, Item, Record, Samples, SampleSet
from flows.lineage.exports import EXPORTERS

ROOT = Path(__file__).parents[3]
AT = "2026-11-21T20:00:00.000Z"


def record(**fields):
    return Record(**{"kind": "stage", "subject": "s", "started_at": AT, "ended_at": AT, **fields})


def kind_of(role, path, count=1):
    only = record(outputs=(Item(role=role, path=path, sha256=sha(path), size=1, count=count),))
    return picture([only], only.id).things[0].kind


def test_what_a_thing_is_follows_from_its_role_and_place():
    assert kind_of("model", "artifacts/models/turbo", 3) == "model"
    assert kind_of("pipeline", "artifacts/export_turbo", 20) == "model"
    assert kind_of("classifier", "artifacts/models/classifier", 2) == "model"
    assert kind_of("catalogue", "artifacts/tables/catalogue.parquet") == "data"
    assert kind_of("latents", "artifacts/latents", 7) == "data"
    assert kind_of("report", "artifacts/report", 9) == "document"
    assert kind_of("metrics", "artifacts/metrics/sft.json") == "document"


def test_every_training_is_trained_on_what_it_drew_and_on_the_data_that_it_read():
    planted = sample_records()
    told = picture(planted.records, planted.ids["export_turbo"])
    for stage in ("pretrain_1", "sft", "distill"):
        made = planted.record(stage)
        drawn = made.sample_set("drawn")
        read = {item.sha256 for item in made.inputs if told.thing(item.sha256).kind == "data"}
        assert set(told.targets("trained_on", made.outputs[0].sha256)) == {drawn.root, *read}


def test_an_export_inherits_the_training_data_of_all_models_before_it():
    planted = sample_records()
    told = picture(planted.records, planted.ids["export_turbo"])
    (root,) = told.roots
    drawn = {planted.record(stage).sample_set("drawn").root for stage in ("pretrain_1", "sft", "distill")}
    assert drawn <= set(told.all_training_data(root.id))


def test_a_decision_is_about_the_model_that_it_stands_on():
    planted = sample_records()
    assert [one.path for one in picture(planted.records, planted.ids["promotion"]).roots] == ["artifacts/export_turbo"]


def test_a_set_is_made_once_and_then_used():
    told = planted_picture()
    sets = {thing.id for thing in told.of_kind("samples")}
    for root in sets:
        assert len(told.targets("generated", root)) <= 1
        assert told.targets("generated", root) or told.sources("used", root)


def test_only_a_finished_takedown_invalidates():
    for state, gone in (("requested", []), ("completed", [TAKEN_DOWN])):
        asked = takedown("").model_copy(update={"parents": (), "decision": {"state": state, "samples": [TAKEN_DOWN]}})
        assert [thing.id for thing in picture([asked], asked.id).of_kind("sample")] == gone


def test_a_takedown_of_what_nobody_ever_had_ends_nothing():
    decision = {"state": "completed", "was_seen": False, "matches": [{"digest": TAKEN_DOWN, "method": "sha256"}]}
    asked = takedown("").model_copy(update={"parents": (), "decision": decision})
    assert picture([asked], asked.id).of_kind("sample") == []
    seen = asked.model_copy(update={"decision": decision | {"was_seen": True}})
    assert [one.id for one in picture([seen], seen.id).of_kind("sample")] == [TAKEN_DOWN]


def test_why_an_image_had_to_go_is_not_handed_on():
    decision = {"state": "completed", "request": {"method": "file", "reason": "the girl in it is Jane Roe"}}
    people = {"asked_by": "ann", "reason": "the girl in it is Jane Roe"}
    gone = takedown("").model_copy(update={"parents": (), "people": people, "decision": decision})
    kept = gone.model_copy(update={"kind": "rollback"})
    for one, is_told in ((gone, False), (kept, True)):
        told = picture([one], one.id)
        assert [standard for standard, export in EXPORTERS.items() if "Jane" in export(told)] == (
            [name for name in EXPORTERS if name != "croissant"] if is_told else []
        )
        assert told.about.facts["decision.request.method"] == "file"


def test_the_picture_does_not_depend_on_the_order_of_records():
    planted = sample_records(decisions=False).records[:4]
    pictures = [picture(order, planted[-1].id) for order in permutations(planted)]
    assert all(one == pictures[0] for one in pictures)


def test_another_record_than_those_given_is_refused_in_one_line():
    records, _ = planted_records()
    with pytest.raises(ValueError, match="is not among the 1 records") as caught:
        picture(records[:1], records[1].id)
    assert "\n" not in str(caught.value)


def test_people_are_told_and_reasons_and_machines_are_not():
    only = record(people={"asked_by": "ann", "approved_by": ["ben", ""], "reason": "because", "service": "x@host"})
    assert {edge.target for edge in picture([only], only.id).edges if edge.kind == "associated"} == {"ann", "ben"}


def test_checks_of_one_name_are_numbered():
    checks = (
        Check(name="a", is_passed=True),
        Check(name="a", is_passed=False, waived_by="ann"),
        Check(name="a", is_passed=False, detail="3"),
    )
    only = record(checks=checks)
    told = picture([only], only.id).about.checks
    assert told == {"a": "passed", "a #2": "failed, waived by ann", "a #3": "failed: 3"}


@pytest.mark.parametrize(
    ("repository", "told"),
    [
        ("https://example.org/easel.git", "https://example.org/easel.git"),
        ("git@example.org:easel.git", "git@example.org:easel.git"),
        ("ssh://example.org/easel.git", "ssh://example.org/easel.git"),
        ("/home/ann/easel", None),
        ("../easel", None),
        ("file:///home/ann/easel", None),
        ("C:\\Users\\ann\\easel", None),
        ("ann@her-machine:/home/ann/easel", None),
    ],
)
def test_a_folder_of_somebodys_machine_is_told_to_nobody(repository, told):
    only = record(code={"repository": repository, "commit": "abc"})
    facts = picture([only], only.id).about.facts
    assert facts.get("code.repository") == told
    assert facts["code.commit"] == "abc"


def used_by(role, *, measures, **made):
    """A record that read a model and an autoencoder, and made something."""
    read = (Item(role="model", path="artifacts/models/sft", sha256=sha("sft"), size=1, count=2),)
    outputs = tuple(Item(role=name, path=path, sha256=sha(path), size=1) for name, path in made.items())
    return record(subject=role, inputs=read, outputs=outputs, measures=measures)


def test_a_model_is_measured_by_its_maker_and_its_judges_and_not_by_those_who_use_it():
    made = record(subject="sft", measures={"loss": "0.4"}, outputs=used_by("x", measures={}).inputs)
    encode = used_by("encode", measures={"encoded": "7"}, latents="artifacts/latents.parquet")
    dpo = used_by("dpo", measures={"loss": "0.1"}, model="artifacts/models/dpo.safetensors")
    judge = used_by("evaluate", measures={"alignment": "0.3"}, report="artifacts/report.html")
    told = picture([made, encode, dpo, judge], judge.id)
    assert told.measures(sha("sft")) == {"sft.loss": "0.4", "evaluate.alignment": "0.3"}


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_judges_of_one_name_the_later_counts(turn):
    judges = [
        used_by("evaluate", measures={"alignment": value}, report=f"artifacts/report_{value}.html").model_copy(
            update={"ended_at": f"2026-11-21T2{hour}:00:00.000Z"}
        )
        for hour, value in enumerate(("0.1", "0.2", "0.3")[::turn])
    ]
    assert picture(judges, judges[0].id).measures(sha("sft")) == {"evaluate.alignment": "0.3" if turn > 0 else "0.1"}


def test_setting_samples_aside_is_no_test_of_the_model_that_encodes_them():
    held_out = Samples(sets=(SampleSet(role="held_out", root=sha("held out"), count=3),))
    encode = used_by("encode", measures={"n": "7"}, latents="artifacts/latents.parquet")
    judge = used_by("evaluate", measures={"alignment": "0.3"}, report="artifacts/report.html")
    for stage, tested in ((encode, []), (judge, [sha("held out")])):
        only = stage.model_copy(update={"samples": held_out})
        assert picture([only], only.id).targets("tested_on", sha("sft")) == tested


def test_a_document_has_another_name_once_more_has_happened():
    records, subject = planted_records()
    names = [
        {
            json.loads(EXPORTERS["cyclonedx"](told))["serialNumber"],
            next(
                one["spdxId"] for one in json.loads(EXPORTERS["spdx3"](told))["@graph"] if one["type"] == "SpdxDocument"
            ),
            json.loads(EXPORTERS["croissant"](told))["version"],
        }
        for told in (picture(records, subject), picture(records[:-1], subject))
    ]
    assert len(names[0]) == 3
    assert not names[0] & names[1]


def test_a_folder_with_one_file_is_a_folder():
    folder = Item(role="images", path="artifacts/rendered/images", sha256=sha("x"), size=1)
    file = Item(role="table", path="artifacts/table.parquet", sha256=sha("y"), size=1)
    only = record(outputs=(folder, file))
    told = {thing.path: thing.is_folder for thing in picture([only], only.id).things}
    assert told == {"artifacts/rendered/images": True, "artifacts/table.parquet": False}


def test_nested_values_become_text_by_dotted_name():
    told = {"a": {"b": [1, True], "c": None}, "d": "x"}
    assert flat(told) == {"a.b.0": "1", "a.b.1": "true", "d": "x"}


def test_names_are_uuids_of_what_they_name_alone():
    assert uuid_of("a", "b") == uuid_of("a", "b") != uuid_of("ab", "")


def test_a_thousand_records_are_pictured_whole():
    records = list(many_records(1000))
    told = picture(records, records[-1].id)
    assert len(told.events) == 1000
    assert sum(edge.kind == "informed" for edge in told.edges) == sum(len(one.parents) for one in records)
    assert Edge("generated", sha("part 7"), records[7].id, "made") in told.edges


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("cc by 4.0", "CC-BY-4.0"),
        ("mit", "MIT"),
        ("Apache 2.0", "Apache-2.0"),
        ("CC0", "CC0-1.0"),
        ("CC-PDDC", "CC-PDDC"),
        ("CC-BY-NC-SA-2.0", "CC-BY-NC-SA-2.0"),
        ("ODbL-1.0", "ODbL-1.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/2.5/deed.de", "CC-BY-NC-ND-2.5"),
        ("https://creativecommons.org/publicdomain/zero/1.0/?ref=chooser-v1", "CC0-1.0"),
        ("https://creativecommons.org/licenses/by/3.0/de/", "LicenseRef-https-creativecommons.org-licenses-by-3.0-de"),
        (
            "https://creativecommons.org/publicdomain/mark/1.0/",
            "LicenseRef-https-creativecommons.org-publicdomain-mark-1.0",
        ),
        (
            "https://evil.org/creativecommons.org/licenses/by/4.0/",
            "LicenseRef-https-evil.org-creativecommons.org-licenses-by-4.0",
        ),
        ("public domain", "LicenseRef-public-domain"),
        ("", "LicenseRef-unknown"),
        ("© ACME, all rights", "LicenseRef-ACME-all-rights"),
        ("LicenseRef-acme", "LicenseRef-acme"),
        ("图", "LicenseRef-unknown"),
    ],
)
def test_licences_are_spdx_identifiers_or_say_that_they_are_none(written, meant):
    assert spdx_identifier(written) == meant
    assert get_spdx_licensing().parse(expression([written, "MIT"])) is not None


def test_spdx_knows_every_identifier_that_we_give_as_its_own():
    assert get_spdx_licensing().validate(" AND ".join(KNOWN.values())).errors == []
    told = expression([*LICENCES, "mit", "Apache 2.0", "CC-PDDC", "cc0", "CC-BY-4.0", "OFL-1.1", "MIT"])
    assert get_spdx_licensing().validate(told).errors == []
    assert get_spdx_licensing().validate("MIT AND Nonsense-1.0").errors
    assert expression([]) == "NOASSERTION"


def test_a_licence_that_spdx_lists_has_a_page():
    assert address("cc0") == "https://spdx.org/licenses/CC0-1.0.html"
    assert address("my own") == "LicenseRef-my-own"


def test_documents_do_not_depend_on_the_process_that_writes_them():
    script = (
        "import hashlib, pictured\n"
        "from flows.lineage.exports import EXPORTERS\n"
        "told = pictured.planted_picture()\n"
        "texts = ''.join(export(told) for export in EXPORTERS.values())\n"
        "print(hashlib.sha256(texts.encode()).hexdigest())\n"
    )
    paths = f"{ROOT}:{ROOT / 'tests'}"
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1
