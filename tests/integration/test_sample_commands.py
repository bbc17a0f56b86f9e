"""Questions about one image on the command line, in a workspace with a ledger, tables and a real MLflow registry."""

import json
import shutil
import signal
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from PIL import Image

from components.data.config import DecodeLimits
from components.data.intake import inspect_images
from tests.ledgers import sample_ledger, sha

# MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; ours are errors, theirs are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

DRAWN = "image 20"
HELD_OUT = "image 9"


class Workspace:
    """An Easel repository whose ledger was filled; `files` has images by name, as bytes whose digests are planted."""

    def __init__(self, folder):
        self.root = folder / "clone"
        self.files = folder / "files"
        (self.root / "flows").mkdir(parents=True)
        (self.root / "flows" / "pipeline.py").touch()
        self.files.mkdir()
        self.planted = sample_ledger(self.root / ".easel" / "ledger")
        for name in (DRAWN, HELD_OUT, "stranger"):
            (self.files / name).write_bytes(name.encode())

    def easel(self, *arguments, monkeypatch, capsys, code=0):
        """Runs in this process, as `python -m flows` would in the workspace; what it printed."""
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(self.root)
            for name in ("EASEL_HOME", "EASEL_LEDGER", "EASEL_TRACKING_URI"):
                patch.delenv(name, raising=False)
            patch.setenv("XDG_CONFIG_HOME", str(self.root.parent / "settings"))
            from flows import cli

            patch.setattr(sys, "argv", ["easel", "lineage", *map(str, arguments)])
            with pytest.raises(SystemExit) as left:
                cli.main()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        printed = capsys.readouterr()
        assert (left.value.code or 0) == code, printed.err
        return printed

    def register(self, folder):
        """Version 1 of `easel-turbo`, made by the planted export, with the alias `champion`; and a version of none."""
        store = self.root / ".easel" / "mlflow"
        store.mkdir(parents=True)
        client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
        client.create_registered_model("easel-turbo")
        mark = self.planted.record("export_turbo").fingerprint
        for tags in ({"easel.fingerprint.export_turbo": mark}, {"easel.fingerprint.export_turbo": sha("another")}):
            client.create_model_version("easel-turbo", source=folder.as_uri(), tags=tags)
        client.set_registered_model_alias("easel-turbo", "champion", "1")

    def write_catalogue(self, rows):
        folder = self.root / "artifacts" / "tables"
        folder.mkdir(parents=True, exist_ok=True)
        columns = {name: [row[name] for row in rows] for name in ("sample_id", "source_id", "licence")}
        columns["phash"] = pa.array([row["phash"] for row in rows], pa.uint64())
        pq.write_table(pa.table(columns), folder / "catalogue.parquet")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("samples"))


def test_one_command_names_trainings_models_and_live_aliases(workspace, tmp_path, monkeypatch, capsys):
    file = workspace.files / DRAWN
    before = json.loads(workspace.easel("sample", file, "--json", monkeypatch=monkeypatch, capsys=capsys).out)
    assert before["versions"] is None
    assert "no registry" in before["unanswered"]
    workspace.register(tmp_path)
    told = json.loads(workspace.easel("sample", file, "--json", monkeypatch=monkeypatch, capsys=capsys).out)
    assert told["sample_id"] == sha(DRAWN)
    assert told["drawn_by"] == ["pretrain_1"]
    [version] = told["versions"]
    assert (version["name"], version["number"], version["aliases"]) == ("easel-turbo", 1, ["champion"])
    assert {name: told[name] for name in before if name not in ("versions", "unanswered")} == {
        name: before[name] for name in before if name not in ("versions", "unanswered")
    }
    shown = workspace.easel("sample", sha(DRAWN), monkeypatch=monkeypatch, capsys=capsys)
    for word in ("drawn in training: pretrain_1", "artifacts/export_turbo", "champion", "promotion", sha(DRAWN)):
        assert word in shown.out
    assert "…" not in shown.out


def test_an_unreachable_registry_leaves_the_rest_answered(workspace, monkeypatch, capsys):
    monkeypatch.setattr("flows.settings.tracking_uri", lambda root: "http://127.0.0.1:9")
    shown = workspace.easel("sample", workspace.files / DRAWN, monkeypatch=monkeypatch, capsys=capsys)
    assert "drawn in training: pretrain_1" in shown.out
    assert "live aliases are not known" in shown.err


def test_what_was_never_seen_is_said_so_and_is_no_mistake(workspace, monkeypatch, capsys):
    shown = workspace.easel("sample", workspace.files / "stranger", monkeypatch=monkeypatch, capsys=capsys)
    assert "never seen" in shown.out
    assert "--near" in shown.err


def test_held_out_is_said(workspace, monkeypatch, capsys):
    assert "held out" in workspace.easel("sample", sha(HELD_OUT), monkeypatch=monkeypatch, capsys=capsys).out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere.png", "no file, no SHA-256"),
        ("https://example.org/none", "not an address"),
        ("ab" * 20, "no file, no SHA-256"),
        (".", "a folder"),
    ],
)
def test_an_unclear_word_is_one_line(workspace, monkeypatch, capsys, given, told):
    refused = workspace.easel("sample", given, monkeypatch=monkeypatch, capsys=capsys, code=1)
    assert told in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_addresses_and_looks_are_those_of_the_catalogue(workspace, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    picture = workspace.files / "picture.png"
    noise = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    noise.save(picture)
    facts = inspect_images([picture.read_bytes()], [None], DecodeLimits(10**7, 10**7, 50.0), with_repetition=False)
    look = int(facts.column("phash")[0].as_py())
    far = int(look ^ (2**40 - 1))
    rows = [
        {"sample_id": sha(DRAWN), "source_id": "https://example.org/twenty", "licence": "CC0-1.0", "phash": look ^ 5},
        {"sample_id": sha(HELD_OUT), "source_id": "noto/9", "licence": "CC0-1.0", "phash": look ^ 7},
        {"sample_id": sha("image 21"), "source_id": "twice", "licence": "CC0-1.0", "phash": far},
        {"sample_id": sha("image 22"), "source_id": "twice", "licence": "CC0-1.0", "phash": None},
    ]
    workspace.write_catalogue(rows)
    asked = {"monkeypatch": monkeypatch, "capsys": capsys}
    found = json.loads(workspace.easel("sample", "https://example.org/twenty", "--json", **asked).out)
    assert (found["sample_id"], found["facts"]["licence"]) == (sha(DRAWN), "CC0-1.0")
    assert "2 samples" in workspace.easel("sample", "twice", **asked, code=1).err
    told = json.loads(workspace.easel("sample", picture, "--near", "6", "--json", **asked).out)
    assert not told["is_known"]
    assert [(one["sample_id"], one["distance"]) for one in told["near"]] == [(sha(DRAWN), 2), (sha(HELD_OUT), 3)]
    assert [one["drawn_by"] for one in told["near"]] == [["pretrain_1"], []]
    lines = workspace.easel("sample", picture, "--near", "6", **asked).out.splitlines()
    at = lines.index("samples that look like it, by bits apart")
    assert lines[at + 1 :] == [  # a line each, so that an id can be copied and a source be searched for
        f" 2  {sha(DRAWN)}  https://example.org/twenty  drawn in training: pretrain_1",
        f" 3  {sha(HELD_OUT)}  noto/9  held out: no training could draw it",
    ]
    known = json.loads(workspace.easel("sample", sha(DRAWN), "--near", "1", "--json", **asked).out)
    assert [(one["sample_id"], one["distance"]) for one in known["near"]] == [(sha(HELD_OUT), 1)]
    assert "0 to 16" in workspace.easel("sample", picture, "--near", "40", **asked, code=1).err
    assert "give its file" in workspace.easel("sample", sha("another"), "--near", "4", **asked, code=1).err


def test_a_proof_is_checked_where_there_is_no_ledger(workspace, tmp_path, monkeypatch, capsys):
    asked = {"monkeypatch": monkeypatch, "capsys": capsys}
    document, key = tmp_path / "to hand out" / "proof.json", tmp_path / "key.pem"
    workspace.easel("proof", workspace.files / "stranger", "--in", "export_turbo", "--out", document, **asked)
    key.write_text(json.loads(document.read_text())["public_key"])
    elsewhere = Workspace.__new__(Workspace)
    elsewhere.root = tmp_path / "elsewhere" / "clone"
    (elsewhere.root / "flows").mkdir(parents=True)
    (elsewhere.root / "flows" / "pipeline.py").touch()
    told = json.loads(elsewhere.easel("proof", "--check", document, "--key", key, "--json", **asked).out)
    assert (told["holds"], told["is_in_any"], len(told["sets"])) == (True, False, 6)
    assert "is not in any of them" in elsewhere.easel("proof", "--check", document, **asked).out
    assert not (elsewhere.root / ".easel").exists()
    changed = json.loads(document.read_text())
    changed["sample"] = sha(DRAWN)
    document.write_text(json.dumps(changed))
    refused = elsewhere.easel("proof", "--check", document, **asked, code=1)
    assert "about another sample" in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_a_record_is_proven_as_before_and_an_image_needs_a_model(workspace, tmp_path, monkeypatch, capsys):
    asked = {"monkeypatch": monkeypatch, "capsys": capsys}
    record = workspace.planted.ids["sft"]
    printed = workspace.easel("proof", record[:10], **asked).out
    assert json.loads(printed)["entry"]["record_id"] == record
    (tmp_path / "record.json").write_text(printed)
    key = next((workspace.root / ".easel" / "ledger" / "keys").iterdir())
    assert "holds" in workspace.easel("proof", "--check", tmp_path / "record.json", "--key", key, **asked).out
    assert "--key" in workspace.easel("proof", "--check", tmp_path / "record.json", **asked, code=1).err
    (tmp_path / "record.json").write_text(printed.replace('"subject": "sft"', '"subject": "dpo"'))
    refused = workspace.easel("proof", "--check", tmp_path / "record.json", "--key", key, **asked, code=1)
    assert "does not hold" in refused.err
    assert "--in" in workspace.easel("proof", sha(DRAWN), **asked, code=1).err


def test_a_deleted_index_changes_no_answer(workspace, monkeypatch, capsys):
    asked = {"monkeypatch": monkeypatch, "capsys": capsys}
    before = workspace.easel("sample", sha(DRAWN), "--json", **asked).out
    (workspace.root / ".easel" / "ledger-index.duckdb").unlink()
    shutil.rmtree(workspace.root / ".easel" / "ledger-index")
    assert workspace.easel("sample", sha(DRAWN), "--json", **asked).out == before
