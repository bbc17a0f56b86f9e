"""What builds leave in the ledger: records against digests computed here, kills, damage, uncommitted code, acceptance.

On the small workspace of two stages, with real DVC, git, MLflow on SQLite, and a real Prefect server once. Most tests
begin with a copy of one finished build.
"""

import hashlib
import json
import shutil
import stat
import sys
from datetime import datetime
from pathlib import Path

import pytest
import rfc8785
from conftest import Workspace
from mlflow.tracking import MlflowClient

from components.lineage.log import Ledger
from components.lineage.log_check import check_log
from components.lineage.record import Record
from components.lineage.store import FolderStore

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")


def ledger_of(workspace) -> Ledger:
    return Ledger(FolderStore(workspace.root / ".easel" / "ledger"))


def records(workspace) -> list[Record]:
    return [record for _, record in ledger_of(workspace).records()]


def stages(workspace) -> list[Record]:
    return [record for record in records(workspace) if record.kind == "stage"]


def run(workspace, *more: str, check: bool = True):
    return workspace.easel("run", "--executor", "local", *more, check=check)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def folder_sha256(folder: Path) -> str:
    files = {f.relative_to(folder).as_posix(): sha256(f) for f in folder.rglob("*") if f.is_file()}
    return hashlib.sha256(rfc8785.dumps(files)).hexdigest()


def runs(workspace) -> dict:
    client = MlflowClient(f"sqlite:///{workspace.root}/.easel/mlflow/mlflow.db")
    newest_first = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return {found.info.run_name: found for found in reversed(newest_first)}


@pytest.fixture(scope="module")
def first_built(first_workspace, tmp_path_factory):
    """A workspace after its first build; to be read, or copied."""
    root = tmp_path_factory.mktemp("built") / "small"
    shutil.copytree(first_workspace.root, root)
    workspace = Workspace(root)
    workspace.run("git", "remote", "add", "origin", "https://ann:secret@example.org/easel.git?token=1")
    run(workspace)
    return workspace


@pytest.fixture
def built(first_built, tmp_path):
    """A workspace of its own after its first build."""
    shutil.copytree(first_built.root, tmp_path / "built")
    return Workspace(tmp_path / "built")


def test_a_build_leaves_a_record_of_each_stage_and_of_itself(first_built):
    workspace, root = first_built, first_built.root
    first, second, whole = records(workspace)
    assert check_log(FolderStore(root / ".easel" / "ledger")) is None

    (read,) = first.inputs
    assert (read.role, read.path, read.sha256, read.count) == ("words", "data", folder_sha256(root / "data"), 1)
    assert (read.made_by, second.inputs[0].made_by, second.parents) == ("", first.id, (first.id,))
    for record in (first, second):
        for item in (*record.inputs, *record.outputs):
            if (root / item.path).is_file():
                assert (item.sha256, item.size) == (sha256(root / item.path), (root / item.path).stat().st_size)
    made = {item.role: item for item in second.outputs}
    assert made["twice"].dvc == f"md5:{hashlib.md5((root / 'artifacts/twice.txt').read_bytes()).hexdigest()}"
    assert second.measures == {"characters": "36"}
    assert second.parameters == {"times": 3, "pause_s": "0.0", "fail": ""}

    assert first.code["commit"] == workspace.run("git", "rev-parse", "HEAD").stdout.strip()
    assert first.code["repository"] == "https://example.org/easel.git"
    assert first.code["modules"]["flows/stages/first.py"] == sha256(root / "flows/stages/first.py")
    assert first.code["tree"] == hashlib.sha256(rfc8785.dumps(first.code["modules"])).hexdigest()
    assert (first.code["is_dirty"], first.is_promotable, first.notes) == (False, True, ())
    assert first.environment["lock"] == sha256(root / "requirements.lock")
    packages = json.loads(ledger_of(workspace).blob(f"packages/{first.environment['packages']}"))
    assert packages["rfc8785"] == rfc8785.__version__
    assert first.environment["python"] == ".".join(map(str, sys.version_info[:3]))

    (folder,) = (root / ".easel/runs").iterdir()
    report = json.loads((folder / "first.json").read_text())
    assert abs(datetime.fromisoformat(first.started_at).timestamp() - report["started_at"]) < 0.001
    assert first.systems == {"mlflow_run": report["mlflow_run_id"], "build": folder.name}
    assert first.place["backend"] == "local"
    assert (first.attempt, first.people["asked_by"]) == (1, second.people["asked_by"])

    assert (whole.kind, whole.subject, whole.parents) == ("run", folder.name, (first.id, second.id))
    assert whole.decision["stages"] == {"first": first.id, "second": second.id}
    assert whole.decision["dvc_lock"] == sha256(root / "dvc.lock")
    assert whole.decision["params"] == sha256(root / "params.yaml")
    told = runs(workspace)
    assert [told[name].data.tags["easel.record"] for name in ("first", "second")] == [first.id, second.id]
    assert told[f"build {folder.name}"].data.tags["easel.record"] == whole.id


def test_a_stage_that_does_not_run_is_referred_to_and_recorded_once(built):
    first, second = stages(built)
    built.set_params("times: 3", "times: 4")
    run(built)
    assert [record.subject for record in stages(built)] == ["first", "second", "second"]
    assert records(built)[-1].decision["referenced"] == ["first"]
    changed = stages(built)[-1]
    assert (changed.parameters["times"], changed.is_promotable) == (4, True)  # parameters alone make no code dirty
    assert first.id in {r.data.tags.get("easel.record.first") for n, r in runs(built).items() if n.startswith("b")}

    built.set_params("times: 4", "times: 3")
    (built.root / "artifacts/twice.txt").unlink()
    run(built)  # out of DVC's run cache
    assert len(stages(built)) == 3
    assert records(built)[-1].parents == (first.id, second.id)
    assert "holds every stage and decision" in built.easel("lineage", "record").stdout

    run(built, "--only", "second", "--force")
    assert [record.attempt for record in stages(built)] == [1, 1, 1, 2]


def test_uncommitted_code_is_kept_as_a_patch_that_applies(workspace):
    root = workspace.root
    stage = root / "flows/stages/first.py"
    stage.write_text(stage.read_text().replace("text = (", "from flows.stages.new import TIMES\n    text = TIMES * ("))
    (root / "flows/stages/new.py").write_text('"""New."""\n\nTIMES = 1\n')
    workspace.easel("sync")
    (root / "README.md").write_bytes(b"\0 not text \xff")
    run(workspace, "--until", "first")
    first = stages(workspace)[0]
    assert first.code["is_dirty"] is True
    assert first.is_promotable is False
    assert "the code differs from the commit" in first.notes[0]
    patch = ledger_of(workspace).blob(f"patches/{first.code['patch']}")
    assert patch is not None
    assert hashlib.sha256(patch).hexdigest() == first.code["patch"]

    clean = root.parent / "clean"
    workspace.run("git", "clone", "--quiet", str(root), str(clean))
    (clean / "p").write_bytes(patch)
    workspace.run("git", "-C", str(clean), "apply", "p")
    for name in ("flows/stages/first.py", "flows/stages/new.py", "README.md"):
        assert (clean / name).read_bytes() == (root / name).read_bytes(), name
    assert {path: sha256(clean / path) for path in first.code["modules"]} == first.code["modules"]


def test_a_ledger_that_cannot_be_written_fails_no_stage_and_is_repaired_later(workspace):
    (workspace.root / ".easel").mkdir()
    (workspace.root / ".easel/ledger").write_text("in the way")  # a folder without rights stops no root
    done = run(workspace)
    assert "2 stages ran" in done.stdout
    assert done.stdout.count("not recorded: ") == 2
    (workspace.root / ".easel/ledger").unlink()
    again = json.loads(workspace.easel("lineage", "record", "--json").stdout)
    assert [(one["stage"], one["is_observed"]) for one in again] == [("first", False), ("second", False)]
    first, second = stages(workspace)
    assert second.parents == (first.id,)
    assert second.systems["mlflow_run"] == runs(workspace)["second"].info.run_id
    assert "recorded after its build" in first.notes[0]
    assert second.is_promotable

    shutil.rmtree(workspace.root / ".easel/ledger")
    workspace.easel("lineage", "record")
    assert [record.id for record in stages(workspace)] == [first.id, second.id]  # built again, byte for byte


def test_killed_while_it_signs_the_record_is_there_once(built):
    killer = built.root.parent / "killer"
    killer.write_text("#!/bin/sh\nkill -9 $PPID\n")
    killer.chmod(killer.stat().st_mode | stat.S_IXUSR)
    key = next((built.root / ".easel/ledger/keys").iterdir())
    environment = {"EASEL_LEDGER_SIGNER": str(killer), "EASEL_LEDGER_PUBLIC_KEY": str(key)}
    built.set_params("times: 3", "times: 4")
    words = [f"{name}={value}" for name, value in environment.items()]
    done = built.run("env", *words, sys.executable, "-m", "flows", "run", "--executor", "local", check=False)
    assert done.returncode == -9
    built.run("rm", "-r", ".easel/made-by")  # as if it had been killed a moment earlier, too
    built.easel("lineage", "record")
    assert [record.subject for record in stages(built)] == ["first", "second", "second"]
    run(built, "--only", "second", "--force")
    assert check_log(FolderStore(built.root / ".easel/ledger")) is None
    assert [record.subject for record in stages(built)] == ["first", "second", "second", "second"]


def test_what_dvc_restores_damaged_is_refused_by_name(built):
    made = built.root / "artifacts/twice.txt"
    md5 = hashlib.md5(made.read_bytes()).hexdigest()
    kept = built.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    mode = kept.stat()
    kept.chmod(0o644)
    kept.write_bytes(b"P" + kept.read_bytes()[1:])
    kept.chmod(mode.st_mode)
    made.unlink()
    done = run(built, check=False)
    assert done.returncode == 1
    assert "artifacts/twice.txt: not the bytes that the record of second names" in done.stderr
    assert not kept.exists()
    run(built, "--only", "second", "--force")
    assert made.read_text() == "apple\n" * 6
    assert len(stages(built)) == 3
    made.unlink()
    run(built)
    assert made.read_text() == "apple\n" * 6


def test_what_another_workspace_made_is_recorded_as_observed(built):
    shutil.rmtree(built.root / ".easel")
    shutil.rmtree(built.root / "artifacts")
    run(built)
    first, second = stages(built)
    assert all("observed, not seen being made" in record.notes[0] for record in (first, second))
    assert (first.place, first.environment, first.systems) == ({}, {}, {})
    assert first.is_promotable
    assert second.parents == (first.id,)
    assert second.outputs[0].sha256 == sha256(built.root / "artifacts/twice.txt")
    run(built, "--only", "second", "--force")
    assert [len(record.notes) for record in stages(built)] == [1, 1, 0]


def test_a_change_of_code_is_accepted_with_a_reason_and_nothing_else_is(workspace, built):
    def refused(said: str, where: Workspace = built) -> None:
        done = where.easel("accept", "second", "--reason", "a comment", "--yes", check=False)
        assert done.returncode == 1
        assert said in " ".join(done.stderr.split())

    refused("second was never run", workspace)
    refused("second is fresh")
    stage = built.root / "flows/stages/second.py"
    old = stage.read_text()
    hidden = f"\t# a comment {'x' * 120} \x1b[2K\u202e[bold]"  # clears its line, and turns the letters round
    stage.write_text(f"{old}\n{hidden}\n")
    built.set_params("times: 3", "times: 4")
    refused("params.yaml changed, and that is not code")
    built.set_params("times: 4", "times: 3")
    output = built.root / "artifacts/twice.txt"
    output.rename(built.root / "aside")
    refused("artifacts/twice.txt is deleted")
    (built.root / "aside").rename(output)
    built.run(*GIT, "commit", "--quiet", "-am", "comment")
    made = stages(built)[1]
    done = built.easel("accept", "second", "--reason", "only a comment", "--by", "ann", "--yes")
    (shown,) = (line for line in done.stdout.splitlines() if "# a comment" in line)  # whole, and as it is written
    assert shown == f"+       # a comment {'x' * 120} \\x1b[2K\\u202e[bold]"
    assert f"changed since {made.code['commit'][:12]}" in done.stderr

    assert "Nothing to do" in run(built).stdout
    kept = records(built)[-1]
    assert (kept.kind, kept.subject, kept.parents) == ("accept", "second", (made.id,))
    assert kept.people == {"approved_by": "ann", "reason": "only a comment"}
    assert kept.decision["files"] == ["flows/stages/second.py"]
    told = [kept.decision[when]["md5"]["flows/stages/second.py"] for when in ("code_before", "code_after")]
    assert told == [hashlib.md5(text.encode()).hexdigest() for text in (old, stage.read_text())]
    assert kept.decision["fingerprint_before"] == made.fingerprint != kept.fingerprint
    # It stands for the stage from now on: no second record is made of the same bytes.
    assert "holds every stage and decision" in built.easel("lineage", "record").stdout
    assert made.systems["mlflow_run"] in (built.root / f".easel/made-by/{kept.fingerprint}.json").read_text()


def test_under_prefect_the_records_are_the_same_but_for_place_and_time(built):
    here = stages(built)
    shutil.rmtree(built.root / "artifacts")
    for name in ("ledger", "made-by"):
        shutil.rmtree(built.root / ".easel" / name)
    built.run("rm", "-r", "dvc.lock", ".dvc/cache")
    built.easel("run")
    there = stages(built)
    differing = {"started_at", "ended_at", "place", "systems", "parents", "inputs"}
    assert [r.model_dump(exclude=differing) for r in here] == [r.model_dump(exclude=differing) for r in there]
    assert [[i.sha256 for i in r.inputs] for r in here] == [[i.sha256 for i in r.inputs] for r in there]
    assert there[1].place["backend"] == "prefect"
    assert set(there[1].systems) == {"mlflow_run", "build", "prefect_task_run", "prefect_flow_run"}
    assert records(built)[-1].decision["executor"] == "prefect"
