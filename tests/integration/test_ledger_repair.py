"""What the ledger lacks of a workspace is recorded later, and says of each run only what that run did.

On the small workspace of two stages, whose one figure (a count) is the same for runs that wrote different bytes.
"""

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import Workspace

from components.lineage.log import Ledger
from components.lineage.record import Record
from components.lineage.store import FolderStore

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")


def stages(workspace: Workspace) -> list[Record]:
    ledger = Ledger(FolderStore(workspace.root / ".easel" / "ledger"))
    return [record for _, record in ledger.records() if record.kind == "stage"]


def run(workspace: Workspace, *more: str):
    return workspace.easel("run", "--executor", "local", *more)


def record_missing(workspace: Workspace) -> list[tuple[str, bool]]:
    """The stages that `easel lineage record` appends a record of, and whether each is only observed."""
    told = json.loads(workspace.easel("lineage", "record", "--json").stdout)
    return [(one["stage"], one["is_observed"]) for one in told]


def run_by_hand(workspace: Workspace, stage: str) -> None:
    """`dvc repro` of one stage, past Easel's executors."""
    path = f"PATH={Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    workspace.run("env", path, sys.executable, "-m", "dvc", "repro", "--quiet", "--force", "--single-item", stage)


@pytest.fixture(scope="module")
def first_built(first_workspace, tmp_path_factory) -> Workspace:
    """A finished build of a second stage that never writes the same bytes twice; to be copied."""
    root = tmp_path_factory.mktemp("repair") / "small"
    shutil.copytree(first_workspace.root, root)
    stage = root / "flows/stages/second.py"
    text = stage.read_text()
    stage.write_text(text.replace("out.write(text)", "out.write(__import__('os').urandom(8).hex())"))
    workspace = Workspace(root)
    workspace.set_params("times: 3, pause_s: 0.0", "times: 3, pause_s: 1.0e-05")  # DVC's lock gives it back as a text
    workspace.easel("sync")
    workspace.run(*GIT, "commit", "--quiet", "-am", "random")
    run(workspace)
    return workspace


@pytest.fixture
def built(first_built, tmp_path) -> Workspace:
    shutil.copytree(first_built.root, tmp_path / "built")
    return Workspace(tmp_path / "built")


def test_a_build_that_finds_a_stage_without_a_record_takes_it_from_the_report_of_its_run(built):
    made, _ = stages(built)
    shutil.rmtree(built.root / ".easel/ledger")  # as if it had been killed between DVC's commit and the record
    (report,) = (built.root / ".easel/runs").glob("*/first.json")
    report.write_text(json.dumps(json.loads(report.read_text()) | {"energy_j": {"cpu": 12.34}}))
    built.set_params("times: 3", "times: 4")
    command = (sys.executable, "-m", "flows", "run", "--executor", "local")
    built.run("env", "EASEL_IMAGE=example.org/easel@sha256:12ab", *command)
    first, second = stages(built)
    assert first.place["energy_j"] == {"cpu": "12.3"}
    assert second.environment["image"] == "example.org/easel@sha256:12ab"
    assert "image" not in made.environment
    assert (first.started_at, first.systems) == (made.started_at, made.systems)
    assert [note.split(":")[0] for note in first.notes] == ["recorded after its build had ended"]
    assert second.parents == (first.id,)


def test_a_build_says_what_the_ledger_cost_it(built):
    built.set_params("times: 3", "times: 4")
    done = run(built)
    folder = max((built.root / ".easel/runs").iterdir())
    costs = [json.loads(line) for line in (folder / "ledger-seconds.jsonl").read_text().splitlines()]
    assert [one["stage"] for one in costs] == ["first", "second", "build"]
    assert all(one["seconds"] > 0 for one in costs)
    ledger = Ledger(FolderStore(built.root / ".easel/ledger"))
    *_, (_, whole) = ledger.records()
    of_stages = (
        sum(one["seconds"] for one in costs[:2]) + json.loads((folder / "second.json").read_text())["ledger_seconds"]
    )
    assert float(whole.decision["ledger_seconds"]) == pytest.approx(of_stages, abs=0.001)
    (share,) = re.findall(r"Done in .* own work, ([\d.]+)% for the ledger", done.stdout)
    assert 0 < float(share) < 100


def test_what_dvc_ran_by_hand_is_observed_and_is_no_run_of_an_earlier_build(built):
    output = built.root / "artifacts/twice.txt"
    before = output.read_bytes()
    run_by_hand(built, "second")
    assert output.read_bytes() != before
    assert record_missing(built) == [("second", True)]
    _, made, again = stages(built)
    assert f"gave other bytes of artifacts/twice.txt in record {made.id[:16]}" in again.notes[1]
    assert stages(built)[-1].outputs[0].sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert record_missing(built) == []

    built.set_params("times: 3, pause_s: 1.0e-05", "times: 3, pause_s: 0.001")
    run_by_hand(built, "second")
    done = run(built)
    assert "Nothing to do" in done.stdout
    assert "second: now in the ledger" in done.stderr
    assert "observed, not seen being made" in stages(built)[-1].notes[0]
    assert stages(built)[-1].systems == {}
    command = (sys.executable, "-m", "flows", "run")
    assert built.run("env", "EASEL_LEDGER_KEY=/no/key.pem", *command).stderr == ""  # nothing to write needs no key


def test_nothing_is_accepted_that_the_ledger_does_not_tell_or_cannot_keep(built):
    def refused(said: str) -> None:
        before = (built.root / "dvc.lock").read_bytes()
        done = built.easel("accept", "second", "--reason", "a comment", "--yes", check=False)
        assert done.returncode != 0
        assert said in done.stderr
        assert (built.root / "dvc.lock").read_bytes() == before

    stage, ledger = built.root / "flows/stages/second.py", built.root / ".easel/ledger"
    stage.write_text(stage.read_text() + "\n# a comment\n")
    (ledger / "patches").write_text("in the way of what differs from the commit")
    refused("patches")
    (ledger / "patches").unlink()
    ledger.rename(built.root / "aside")
    refused("no record in the ledger tells how it was made")
    shutil.rmtree(ledger, ignore_errors=True)
    (built.root / "aside").rename(ledger)
    built.easel("accept", "second", "--reason", "a comment", "--yes")
    assert "Nothing to do" in run(built).stdout
    assert record_missing(built) == []


def test_what_was_changed_since_is_not_recorded_as_what_a_stage_read_or_wrote(built):
    shutil.rmtree(built.root / ".easel/ledger")
    once, twice = built.root / "artifacts/once.txt", built.root / "artifacts/twice.txt"
    for file, whose in ((once, ("first: ", "second: ")), (twice, ("second: ",))):
        kept = file.read_bytes()
        file.unlink()
        file.write_text("edited")
        told = built.easel("lineage", "record").stderr
        assert all(f"{stage}not recorded: artifacts/{file.name} is not what it" in told for stage in whose)
        file.write_bytes(kept)
    assert [record.subject for record in stages(built)] == ["first"]
    assert record_missing(built) == [("second", False)]
    outputs = {item.path: item.sha256 for item in stages(built)[1].outputs}
    assert outputs["artifacts/twice.txt"] == hashlib.sha256(twice.read_bytes()).hexdigest()
