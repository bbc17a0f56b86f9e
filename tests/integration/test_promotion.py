"""Promoting and rolling back in a real MLflow registry (SQLite): the gate, the reasons, two persons, kills, races."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import mlflow
import pytest
import rfc8785
import typer
from mlflow.tracking import MlflowClient
from PIL import Image
from typer.testing import CliRunner

from components.lineage.record import Item, Record
from components.registry.decisions import PromotionError
from components.registry.hashes import write_hashes
from components.registry.promotion import CHAMPION, DECISION_TAG, REQUEST_TAG, carry_out
from components.registry.registration import register_directory
from components.registry.withdrawal import WITHDRAWN_TAG, withdraw
from flows import settings
from flows.cli import app
from flows.compare import HEADING_PX, compare, write_sheet
from flows.lineage.decision_records import missing_decisions
from flows.lineage.ledger import open_ledger
from flows.lineage.stage_records import OBSERVED
from flows.parameters import PARAMS_FILE
from flows.promote import history, promote, rollback
from flows.server import start_prefect, stop

# MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; ours are errors, theirs are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

NAME = "easel"
GATE = """
gate:
  easel:
    needs_second_person: false
    metrics:
      alignment: {better: higher, worse_by_at_most: 0.05, at_least: 0.2}
      distance: {better: lower, worse_by_at_most: 100}
"""
# By version: 2 is no worse than 1, 3 is below the bound, 4 falls too far below 1 and 2, 5 beats all.
METRICS = [
    {"alignment": 0.40, "distance": 1300.0},
    {"alignment": 0.38, "distance": 1250.0},
    {"alignment": 0.10, "distance": 1300.0},
    {"alignment": 0.30, "distance": 1600.0},
    {"alignment": 0.50, "distance": 1000.0, "speed": 3.0},
]
WRITES_OF_A_PROMOTION = 10


def database(root: Path) -> Path:
    return root / ".easel" / "mlflow" / "mlflow.db"


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(settings.tracking_uri(root))


def champion(root: Path) -> int | None:
    held = client_of(root).get_registered_model(NAME).aliases.get(CHAMPION)
    return int(held) if held is not None else None


def kept(root: Path) -> dict[str, str]:
    """What the registered model keeps of decisions and requests."""
    tags = client_of(root).get_registered_model(NAME).tags
    return {key: value for key, value in tags.items() if key.startswith((DECISION_TAG, REQUEST_TAG))}


def decisions_in(root: Path) -> list[Record]:
    """The ledger's records of decisions, in its order."""
    return [record for _, record in open_ledger(root).records() if record.kind != "stage"]


def told(root: Path, version: int) -> dict[str, str]:
    tags = client_of(root).get_model_version(NAME, str(version)).tags
    return {key.removeprefix("easel.promotion."): value for key, value in tags.items() if "promotion" in key}


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EASEL_HOME", "EASEL_TRACKING_URI", "EASEL_LEDGER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A registry of five versions; copied, not used."""
    root = tmp_path_factory.mktemp("registered")
    database(root).parent.mkdir(parents=True)
    client = MlflowClient(f"sqlite:///{database(root)}")
    mlflow.set_tracking_uri(f"sqlite:///{database(root)}")  # where MLflow looks for a version's logged model
    client.create_experiment("easel", artifact_location=(root / "artifacts").as_uri())
    ledger = open_ledger(root, to_write=True)
    for number, metrics in enumerate(METRICS, start=1):
        directory = root / f"export_{number}"
        directory.mkdir()
        (directory / "weights.safetensors").write_text(f"version {number}")
        Image.new("RGB", (40 * number, 30), (number, 0, 0)).save(directory / "samples.png")
        register_directory(
            directory,
            uri=f"sqlite:///{database(root)}",
            experiment="easel",
            source_run_id=None,
            name=NAME,
            digest=write_hashes(directory),
            tags={},
            metrics=metrics,
        )
        ledger.append(*exported(directory))
    yield root
    mlflow.set_tracking_uri(None)


def exported(
    directory: Path, *, is_promotable: bool = True, notes: tuple[str, ...] = ()
) -> tuple[Record, dict[str, bytes]]:
    """The record of the export that `directory` is, and the list of its files."""
    listed = {
        file.relative_to(directory).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    }
    text = rfc8785.dumps(listed)
    sha256 = hashlib.sha256(text).hexdigest()
    at = "2026-11-23T20:00:00.000Z"
    item = Item(role="pipeline", path="artifacts/export", sha256=sha256, size=1, count=len(listed))
    record = Record(
        kind="stage",
        subject="export",
        started_at=at,
        ended_at=at,
        outputs=(item,),
        is_promotable=is_promotable,
        notes=notes,
    )
    return record, {f"folders/{sha256}": text}


def workspace(registry: Path, root: Path, gate: str = GATE) -> Path:
    """A repository, as far as these commands look at it, with its own copy of the registry's database."""
    (root / "flows").mkdir(parents=True)
    (root / "flows" / "pipeline.py").touch()
    database(root).parent.mkdir(parents=True)
    shutil.copyfile(database(registry), database(root))
    shutil.copytree(registry / ".easel" / "ledger", root / ".easel" / "ledger")
    (root / PARAMS_FILE).write_text(gate)
    return root


@pytest.fixture
def root(registry: Path, tmp_path: Path) -> Path:
    return workspace(registry, tmp_path / "workspace")


def test_the_alias_moves_only_through_the_gate(root: Path) -> None:
    assert promote(root, "1", reason="the first", by="ann").result == "promoted"
    assert promote(root, "2", reason="nearer to real images", by="bob").result == "promoted"
    for version in ("3", "4"):
        before = kept(root)
        refused = promote(root, version, reason="hope", by="ann")
        assert (refused.result, champion(root), kept(root)) == ("refused by the gate", 2, before)
    assert [check.verdict for check in refused.checks] == ["falls too far", "rises too far"]
    assert refused.beaten_by == ["1", "2", "5"]
    assert told(root, 4) == {}

    first, second = history(root)
    assert (first.version, first.before, first.by, first.reason) == (1, None, "ann", "the first")
    assert (second.version, second.before, second.by, second.is_done) == (2, 1, "bob", True)
    assert [check["value"] for check in second.checks] == [0.38, 1250.0]
    assert told(root, 2) == {
        "decision": "promote",
        "reason": "nearer to real images",
        "by": "bob",
        "asked_by": "",
        "at": second.at,
        "override": "false",
    }
    with pytest.raises(PromotionError, match="champion already"):
        promote(root, "2", reason="again", by="ann")


def test_an_override_is_kept_with_its_reason(root: Path) -> None:
    promote(root, "1", reason="the first", by="ann")
    assert promote(root, "4", reason="the old set was wrong", by="ann", override=True).result == "promoted"
    assert champion(root) == 4
    assert told(root, 4)["override"] == "true"
    last = history(root)[-1]
    assert (last.is_override, last.reason) == (True, "the old set was wrong")
    assert [check["verdict"] for check in last.checks] == ["falls too far", "rises too far"]


def test_an_override_that_was_not_needed_is_none(root: Path) -> None:
    promote(root, "candidate", reason="the first", by="ann", override=True)
    assert (champion(root), history(root)[-1].is_override) == (5, False)


def test_every_decision_is_in_the_ledger_with_the_export_that_it_is_about(root: Path) -> None:
    promote(root, "1", reason="the first", by="ann")
    promote(root, "4", reason="the old set was wrong", by="bob", override=True)
    rollback(root, reason="grey", by="ann")
    first, second, third = decisions_in(root)
    digest = client_of(root).get_model_version(NAME, "4").tags["easel.sha256"]
    assert (second.kind, second.subject, second.decision["digest"]) == ("override", NAME, digest)
    assert (second.decision["before"], second.decision["version"]) == (1, 4)
    assert second.people == {"asked_by": "bob", "approved_by": "bob", "reason": "the old set was wrong"}
    assert [(check.name, check.is_passed, check.waived_by) for check in second.checks] == [
        ("alignment", False, "bob"),
        ("distance", False, "bob"),
    ]
    exports = [record for _, record in open_ledger(root).records() if record.kind == "stage"]
    assert [one.parents for one in (first, second, third)] == [(exports[n].id,) for n in (0, 3, 0)]
    assert (third.kind, third.decision["version"], third.started_at) == (
        "rollback",
        1,
        f"{history(root)[-1].at[:19]}.000Z",
    )


def test_what_the_ledger_does_not_know_is_not_promoted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_LEDGER", str(root / "another"))
    with pytest.raises(PromotionError, match=r"no record in the ledger tells how version 1 .* `easel lineage record`"):
        promote(root, "1", reason="the first", by="ann")
    assert champion(root) is None
    assert promote(root, "1", reason="the first", by="ann", override=True).result == "promoted"
    (kept_record,) = decisions_in(root)
    assert (kept_record.kind, kept_record.decision["is_override"], kept_record.parents) == ("override", True, ())
    assert history(root)[-1].is_override


def test_decisions_that_the_ledger_missed_are_appended_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(root, "1", reason="the first", by="ann")
    monkeypatch.setenv("EASEL_LEDGER", str(root / PARAMS_FILE))  # a file, where a folder should be
    promote(root, "2", reason="the second", by="bob", override=True)
    assert "the decision is not in the ledger" in capsys.readouterr().err
    monkeypatch.delenv("EASEL_LEDGER")
    client_of(root).set_registered_model_alias(NAME, CHAMPION, "5")
    (second, moved) = missing_decisions(root)
    assert (second.decision["version"], second.people["approved_by"], second.kind) == (2, "bob", "override")
    assert (moved.decision["before"], moved.decision["version"], moved.decision["result"]) == (2, 5, "moved by hand")
    assert list(missing_decisions(root)) == []
    assert [one.decision["version"] for one in decisions_in(root)] == [1, 2, 5]


def test_what_was_made_by_uncommitted_code_is_not_promoted(
    root: Path, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_LEDGER", str(root / "another"))
    ledger = open_ledger(root, to_write=True)
    ledger.append(*exported(registry / "export_1", is_promotable=False, notes=("not promotable: the code differs",)))
    ledger.append(*exported(registry / "export_2", notes=(OBSERVED,)))
    with pytest.raises(PromotionError, match=r"version 1 of easel is export: not promotable: the code differs; --over"):
        promote(root, "1", reason="the first", by="ann")
    assert "nobody saw these stages run: export" in promote(root, "2", reason="second", by="ann").notes[0]


def test_rollbacks_go_back_one_champion_each(root: Path) -> None:
    with pytest.raises(PromotionError, match="no champion before"):
        rollback(root, reason="nothing there", by="ann")
    for version in ("1", "2", "5"):
        promote(root, version, reason="better", by="ann")
    rollback(root, reason="grey squares", by="bob")
    assert champion(root) == 2
    rollback(root, reason="still grey", by="bob")
    assert champion(root) == 1
    with pytest.raises(PromotionError, match="no champion before"):
        rollback(root, reason="still grey", by="bob")
    assert [(d.kind, d.before, d.version) for d in history(root)[3:]] == [("rollback", 5, 2), ("rollback", 2, 1)]
    assert told(root, 1) | {"at": ""} == {
        "decision": "rollback",
        "reason": "still grey",
        "by": "bob",
        "asked_by": "",
        "at": "",
        "override": "false",
    }


def withdrawn(root: Path, *versions: int, policy: str = "withdraw") -> Record:
    """A takedown of which these versions drew an image, in the ledger."""
    at = "2026-11-23T20:00:00.000Z"
    models = {f"{NAME}:{number}": policy for number in versions}
    people = {"asked_by": "ann", "reason": "not mine to give"}
    record = Record(kind="takedown", subject="takedown", started_at=at, ended_at=at, people=people,
                    decision={"state": "requested", "models": models})  # fmt: skip
    open_ledger(root, to_write=True).append(record)
    return record


def test_what_a_takedown_withdrew_is_promoted_by_override_alone(root: Path) -> None:
    asked = withdrawn(root, 2)
    withdrawn(root, 5, policy="retrain")
    promote(root, "1", reason="the first", by="ann")
    with pytest.raises(PromotionError, match="version 2 of easel was withdrawn by the takedown") as refused:
        promote(root, "2", reason="second", by="ann")
    assert asked.id[:12] in str(refused.value)
    assert "not mine to give" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert champion(root) == 1
    assert promote(root, "2", reason="the owner agreed", by="ann", override=True).result == "promoted"
    last = decisions_in(root)[-1]
    assert (last.kind, last.decision["version"]) == ("override", 2)
    assert "was withdrawn by the takedown" in last.notes[0]
    assert promote(root, "5", reason="best", by="ann").result == "promoted"
    with pytest.raises(PromotionError, match=r"version 2 of easel was withdrawn .* `easel promote` another"):
        rollback(root, reason="grey", by="ann")
    assert champion(root) == 5


def test_withdrawn_versions_lose_every_alias_and_the_champion_before_can_come_back(root: Path) -> None:
    promote(root, "1", reason="the first", by="ann")
    promote(root, "2", reason="the second", by="ann")
    client = client_of(root)
    for alias, version in (("best", "2"), ("old", "1"), ("candidate", "5")):
        client.set_registered_model_alias(NAME, alias, version)
    uri = settings.tracking_uri(root)
    decision = withdraw(uri, NAME, {2, 5}, reason="mine", by="ann", at="2026-11-23T20:00:00+00:00")
    assert decision is not None
    assert client.get_registered_model(NAME).aliases == {"old": 1}
    assert [(one.kind, one.version, one.before, one.is_done) for one in history(root)[2:]] == [
        ("withdraw", None, 2, True)
    ]  # fmt: skip
    assert [WITHDRAWN_TAG in client.get_model_version(NAME, str(n)).tags for n in (1, 2, 5)] == [False, True, True]
    assert withdraw(uri, NAME, {2, 5}, reason="mine", by="ann", at="2026-11-23T21:00:00+00:00") is None
    assert len(history(root)) == 3
    (missed,) = (one for one in missing_decisions(root) if one.decision["result"] == "withdrawn")
    assert (missed.decision["before"], missed.decision["version"]) == (2, None)
    assert rollback(root, reason="somebody must serve", by="ann").version == 1
    assert champion(root) == 1


def test_a_deleted_champion_cannot_be_restored(root: Path) -> None:
    promote(root, "1", reason="first", by="ann")
    promote(root, "2", reason="second", by="ann")
    client_of(root).delete_model_version(NAME, "1")
    with pytest.raises(ValueError, match=r"no model '1' in the registry; there are: .*2, 3, 4, 5"):
        rollback(root, reason="grey", by="ann")
    assert champion(root) == 2


def test_an_alias_moved_by_hand_is_noticed(root: Path) -> None:
    promote(root, "1", reason="first", by="ann")
    client_of(root).set_registered_model_alias(NAME, CHAMPION, "4")
    assert [(d.kind, d.version) for d in history(root)] == [("promote", 1), ("outside", 4)]
    assert len(kept(root)) == 1  # reading writes nothing
    rollback(root, reason="who did that?", by="ann")
    assert champion(root) == 1
    assert [d.kind for d in history(root)] == ["promote", "outside", "rollback"]
    client_of(root).delete_registered_model_alias(NAME, CHAMPION)
    rollback(root, reason="who did that?", by="ann")
    assert champion(root) == 1


def test_changed_bytes_are_not_promoted(root: Path, registry: Path) -> None:
    where = client_of(root).get_model_version_download_uri(NAME, "5").removeprefix("file://")
    weights = Path(where) / "weights.safetensors"
    weights.write_text("something else")
    try:
        with pytest.raises(ValueError, match=r"weights\.safetensors"):
            promote(root, "5", reason="best", by="ann")
    finally:
        weights.write_text("version 5")
    assert (champion(root), kept(root)) == (None, {})


def test_two_persons_decide_where_the_gate_wants_them(registry: Path, tmp_path: Path) -> None:
    root = workspace(registry, tmp_path / "two", GATE.replace("false", "true"))
    asked = promote(root, "1", reason="looks good", by="ann")
    assert (asked.result, champion(root)) == ("waits for a second person", None)
    with pytest.raises(PromotionError, match="ann asked for version 1 already; a second person"):
        promote(root, "1", reason="really", by="ann")
    assert promote(root, "1", reason="agreed", by="bob").result == "promoted"
    (decision,) = history(root)
    assert (decision.asked_by, decision.by, decision.reason) == ("ann", "bob", "looks good / agreed")
    assert set(kept(root)) == {f"{DECISION_TAG}000001"}

    # A word about another champion, or about an override, is not the second word about this.
    promote(root, "2", reason="better", by="ann")
    promote(root, "5", reason="best", by="ann")
    promote(root, "5", reason="yes", by="bob")
    assert promote(root, "2", reason="yes", by="bob", override=True).result == "waits for a second person"
    assert promote(root, "2", reason="yes", by="ann", override=True).result == "promoted"
    assert history(root)[-1].is_override
    rollback(root, reason="grey", by="bob")  # in an emergency one person is enough
    assert champion(root) == 5


def run_promoters(*jobs: str) -> list[int]:
    command = [sys.executable, str(Path(__file__).with_name("promoters.py")), *jobs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("command", "steps"),
    [("5", [*range(WRITES_OF_A_PROMOTION), -1]), ("rollback", [1, 2, 9])],
    ids=["promote", "rollback"],
)
def test_killed_at_any_step_it_happened_or_it_did_not(
    registry: Path, tmp_path: Path, command: str, steps: list[int]
) -> None:
    start = workspace(registry, tmp_path / "start")
    promote(start, "1", reason="first", by="ann")
    promote(start, "2", reason="second", by="ann")
    roots = [workspace(start, tmp_path / str(step)) for step in steps]
    ended = run_promoters(*(f"{root}:{command}:{step}" for step, root in zip(steps, roots, strict=True)))
    assert ended == [-9 if step >= 0 else 0 for step in steps]

    kind, after = ("rollback", 1) if command == "rollback" else ("promote", 5)
    for step, root in zip(steps, roots, strict=True):
        moved = step not in (0, 1)  # the record is begun, then the alias moves
        assert champion(root) == (after if moved else 2)
        # What the history says is what the alias says, before anything is repaired.
        assert [(d.kind, d.version, d.is_done) for d in history(root)[2:]] == [(kind, after, True)] * moved

        if moved:
            promote(root, "2", reason="the next decision", by="ann", override=True)
        elif kind == "promote":
            promote(root, "5", reason="once more", by="ann")
        else:
            rollback(root, reason="once more", by="ann")
        records = [json.loads(text) for _, text in sorted(kept(root).items())]
        assert [record["number"] for record in records] == list(range(1, len(records) + 1))
        assert all(record["is_done"] for record in records)
        assert [(r["kind"], r["version"]) for r in records[2:3]] == [(kind, after)]
        assert told(root, after)["decision"] == kind
        assert len(told(root, after)) == 6


def test_two_at_once_decide_one_after_the_other(registry: Path, tmp_path: Path) -> None:
    root = workspace(registry, tmp_path / "both")
    assert run_promoters(f"{root}:1:-1", f"{root}:2:-1") == [0, 0]
    first, second = history(root)
    assert {first.version, second.version} == {1, 2}
    assert (second.before, second.version) == (first.version, champion(root))


def test_a_decision_gives_way_to_one_from_another_machine(root: Path) -> None:
    promote(root, "1", reason="first", by="ann")
    (first,) = history(root)
    stale = replace(first, number=2, version=5, before=4)  # taken when version 4 was champion
    with pytest.raises(PromotionError, match="changed by somebody else just now"):
        carry_out(settings.tracking_uri(root), NAME, stale)
    assert (champion(root), history(root)) == (1, [first])


def test_a_family_that_is_none_is_named(root: Path) -> None:
    with pytest.raises(ValueError, match="no family of models is called 'turboo'; there are: turbo"):
        rollback(root, "turboo", reason="grey", by="ann")


def test_versions_are_compared_by_the_rules_of_the_gate(root: Path) -> None:
    promote(root, "1", reason="first", by="ann")
    found = compare(root, ["1", "2", "4", "5"])
    assert found.names == ["easel/1", "easel/2", "easel/4", "easel/5"]
    by_metric = {row.metric: row for row in found.rows}
    assert by_metric["alignment"].values == [0.4, 0.38, 0.3, 0.5]
    assert by_metric["alignment"].contrasts == ["no difference beyond the margin", "worse", "better"]
    assert (by_metric["speed"].values, by_metric["speed"].contrasts) == ([None, None, None, 3.0], ["", "", ""])
    assert found.front == ["easel/5"]
    assert found.beaten_by["easel/4"] == ["easel/1", "easel/2", "easel/5"]
    assert compare(root, ["all"]).names == [f"easel/{number}" for number in range(1, 6)]
    with pytest.raises(ValueError, match="no model is registered under 'easel-turbo'"):
        compare(root, ["turbo:all"])
    assert compare(root, ["candidate"]).names == ["easel/1", "easel/5"]
    with pytest.raises(ValueError, match="one and the same"):
        compare(root, ["candidate", "5"])
    with pytest.raises(ValueError, match="no run 0"):
        compare(root, ["1", "0" * 32])


def test_what_versions_drew_stands_one_above_the_other(root: Path, tmp_path: Path) -> None:
    with Image.open(write_sheet(root, ["5", "2"], tmp_path / "both.png")) as page:
        assert page.size == (200, 2 * (HEADING_PX + 30))
        assert page.getpixel((199, HEADING_PX)) == (5, 0, 0)
        assert page.getpixel((79, 2 * HEADING_PX + 59)) == (2, 0, 0)
        assert page.getpixel((80, 2 * HEADING_PX + 59)) == (255, 255, 255)
        assert page.info["models"] == "easel/5, easel/2"
    with pytest.raises(ValueError, match="no model"):
        write_sheet(root, ["1", "0" * 32], tmp_path / "runs.png")


def test_the_commands_say_what_they_did_in_words_json_and_exit_codes(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = workspace(registry, tmp_path / "commands", GATE.replace("false", "true"))
    monkeypatch.chdir(root)

    def easel(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*words])
        assert done.exit_code == code, done.output
        return done.stdout

    refused = easel("promote", "3", "--reason", "hope", "--by", "ann", code=1)
    assert "not at least" in refused
    assert "refused: version 3 of easel" in refused
    assert "waits for a second person" in easel("promote", "1", "--reason", "first", "--by", "ann", code=75)
    assert "promoted: version 1 of easel" in easel("promote", "1", "--reason", "yes", "--by", "bob")
    easel("promote", "3", "--reason", "[red]x", "--by", "ann", "--override", code=75)
    moved = json.loads(easel("promote", "3", "--reason", "y", "--by", "bob", "--override", "--json"))
    assert (moved["result"], moved["before"], len(moved["checks"])) == ("promoted", 1, 2)
    assert "version 1 is champion again, no longer 3" in easel("rollback", "--reason", "grey", "--by", "ann")
    kinds = [decision["kind"] for decision in json.loads(easel("history", "--json"))]
    assert kinds == ["promote", "promote", "rollback"]
    told = [(r.kind, r.decision["result"]) for r in decisions_in(root)]
    waits = ("promotion", "waits for a second person")
    assert told == [
        ("promotion", "refused by the gate"), waits, ("promotion", "promoted"),
        waits, ("override", "promoted"), ("rollback", "rolled back"),
    ]  # fmt: skip
    assert "[red]x / y" in " ".join(easel("history").split())  # a reason is text, not markup
    shown = easel("compare", "1", "5")
    assert "0.5 better" in shown
    assert "in all of it: easel/5" in " ".join(shown.split())
    assert json.loads(easel("compare", "1", "5", "--json"))["front"] == ["easel/5"]
    shown_files: list[str] = []
    monkeypatch.setattr(typer, "launch", shown_files.append)
    easel("compare", "1", "5", "--open")
    assert shown_files == [(root / ".easel" / "compared.png").as_uri()]
    assert (root / ".easel" / "compared.png").is_file()


def test_prefect_keeps_the_decision_that_is_made_without_it_too(root: Path) -> None:
    def easel(*words: str, code: int = 0) -> dict:
        command = [sys.executable, "-m", "flows", "promote", *words, "--by", "ann", "--json", "--executor", "prefect"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    environment = dict(os.environ)
    server = start_prefect(root)
    try:
        environment["PREFECT_API_URL"] = f"{server.url}/api"
        assert easel("1", "--reason", "first")["result"] == "promoted"
        assert easel("3", "--reason", "hope", code=1)["result"] == "refused by the gate"
        with httpx.Client(base_url=f"{server.url}/api", trust_env=False, timeout=120) as asked:
            runs, tables = (asked.post(f"/{kind}/filter", json={}).json() for kind in ("flow_runs", "artifacts"))
    finally:
        stop(server)
    assert champion(root) == 1
    (decision,) = history(root)
    assert (decision.by, decision.reason) == ("ann", "first")
    assert {run["state_name"] for run in runs} == {"Promoted", "Refused"}
    assert any("| alignment | 0.1 | 0.4 | not at least |" in table["data"] for table in tables)
