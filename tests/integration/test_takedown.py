"""A takedown in a real workspace, with git, DVC and a remote: no file holds the image afterwards, however it ends."""

import base64
import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image
from typer.testing import CliRunner

from components.data import opt_out, records
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.manifest import SampleProof, check
from components.lineage.store import FolderStore
from components.lineage.takedown import Affected, Deleted, Left, Receipt, Request, read_signed, sign
from flows.cli import app
from flows.lineage import takedowns
from flows.lineage.takedown_matches import TakedownError, Wish, find_matches
from flows.lineage.takedown_work import Order
from flows.lineage.takedowns import preview
from flows.lineage.withdrawals import withdrawal_of
from flows.stages import filter_images, ingest
from flows.workspace_lock import BusyError
from tests.conftest import ROOT, Workspace
from tests.ledgers import Planted, plain_root, sample_ledger, sample_records, sha

KILLED = """
import os, signal, sys
from pathlib import Path
from flows.lineage import takedowns
from flows.lineage.takedown_matches import Wish

number, sha256 = int(sys.argv[1]), sys.argv[2]
steps = list(takedowns.STEPS)
steps.insert(number, lambda work: os.kill(os.getpid(), signal.SIGKILL))
takedowns.STEPS = tuple(steps)
takedowns.take_down(Path.cwd(), takedowns.Order(Wish("sha256", sha256), "asked by the owner", "ann"))
"""

HALF_DONE = """
import os, signal, sys
from pathlib import Path
from flows.lineage import takedowns
from flows.lineage.takedown_matches import Wish

sha256, name = sys.argv[1:]
unlink = Path.unlink


def and_die(self, *args, **kwargs):
    unlink(self, *args, **kwargs)
    if self.name == name:
        os.kill(os.getpid(), signal.SIGKILL)


Path.unlink = and_die
takedowns.take_down(Path.cwd(), takedowns.Order(Wish("sha256", sha256), "asked by the owner", "ann"))
"""
"""Ends itself as soon as a file of that name is deleted."""


def picture(seed: int) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (24, 24), hashlib.shake_256(bytes([seed])).digest(24 * 24 * 3)).save(out, "PNG")
    return out.getvalue()


IMAGES = [picture(seed) for seed in range(6)]
IDS = [hashlib.sha256(data).hexdigest() for data in IMAGES]
GONE, NEAR = IDS[2], IDS[4]


@pytest.fixture(scope="module")
def first_pool(first_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small workspace with images in data/, a table that was made of them, and a remote beside it."""
    root = tmp_path_factory.mktemp("pool") / "small"
    shutil.copytree(first_workspace.root, root)
    pool = Workspace(root)
    (root / "data" / "images").mkdir()
    write_raw(root / "data" / "images" / "part-00000.parquet", IMAGES)
    (root / "data" / "loose.png").write_bytes(IMAGES[2])
    block = "filter_images: # what is dropped\n  filters: {enabled: [opted_out]}\n  opt_out: null # nobody yet\n"
    (root / "params.yaml").write_text((root / "params.yaml").read_text() + block)
    dvc = (sys.executable, "-m", "dvc")
    pool.run(*dvc, "remote", "add", "-d", "near", str(Path("..") / "remote"))
    pool.run(*dvc, "add", "-q", "data")
    pool.run(*dvc, "push", "-q")
    made = root / "artifacts" / "kept"
    made.mkdir(parents=True)
    pq.write_table(pa.table({"sample_id": IDS, "bytes": IMAGES}), made / "rows.parquet", compression="zstd")
    pool.run("git", "add", "-A")
    pool.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "images")
    return pool


@pytest.fixture
def pool(first_pool: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A pool and a remote of its own, and a key for its ledger."""
    shutil.copytree(first_pool.root.parent, tmp_path, dirs_exist_ok=True)
    make_key(tmp_path / "key.pem")
    monkeypatch.setenv("EASEL_LEDGER_KEY", str(tmp_path / "key.pem"))
    return Workspace(tmp_path / "small")


@pytest.fixture
def planted(pool: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """A ledger for the pool that holds the planted records, none of which is about the pool's images."""
    planted = sample_ledger(tmp_path / "ledger", decisions=False)
    monkeypatch.setenv("EASEL_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("EASEL_LEDGER_KEY", str(tmp_path / "ledger-key.pem"))
    return planted


def write_raw(file: Path, images: Sequence[bytes]) -> None:
    """A raw part; the first four images are by one creator."""
    told = {"source": "made", "title_en": "a thing", "style": "photo", "concept": ""}
    rows = [
        told | {"source_id": f"{file.stem}/{number}", "image": data, "creator": "ann" if number < 4 else "ben"}
        for number, data in enumerate(images)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=records.RAW), file)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flows", *arguments]


def environment(pool: Workspace) -> dict[str, str]:
    return pool.environment | {name: value for name, value in os.environ.items() if name.startswith("EASEL_LEDGER")}


def run(pool: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=pool.root, env=environment(pool), capture_output=True, text=True, timeout=120, check=False
    )


def easel(pool: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(pool, *command(*arguments))


def take_down(pool: Workspace, *arguments: str) -> dict[str, Any]:
    done = easel(pool, "takedown", *arguments, "--reason", "asked by the owner", "--by", "ann", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_in(data: bytes, image: bytes) -> bool:
    """Whether the bytes hold the image, as it is or in a cell of a table."""
    if data[:4] == b"PAR1":
        return any(image in column for column in pq.read_table(io.BytesIO(data)).to_pydict().values())
    return image in data


def holders(folder: Path, image: bytes = IMAGES[2]) -> list[Path]:
    """Files that hold the image; git's own history is left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return [file for file in files if is_in(file.read_bytes(), image)]


def test_no_file_holds_the_image_afterwards_and_it_is_refused_from_now_on(pool: Workspace, tmp_path: Path) -> None:
    assert len(holders(tmp_path)) == 7  # table and loose file in workspace, cache and remote, and the derived table
    told = take_down(pool, "--sha256", GONE)
    assert told["is_new"]
    assert told["receipt"]["was_seen"]
    assert holders(tmp_path) == []
    assert pq.read_table(pool.root / "data" / "images" / "part-00000.parquet").num_rows == len(IMAGES) - 1
    text = (pool.root / "params.yaml").read_text()
    assert "# what is dropped" in text
    assert "# nobody yet" in text
    assert opt_out.read_list(pool.root / "infra" / "opt-out.txt").names(GONE)
    receipt = Path(told["file"])
    assert GONE not in receipt.read_text()
    assert easel(pool, "takedown", "--check", str(receipt)).returncode == 0
    receipt.write_text(receipt.read_text().replace("asked by the owner", "asked by nobody"))
    refused = easel(pool, "takedown", "--check", str(receipt))
    assert refused.returncode == 1
    assert "does not fit" in refused.stderr


def scaled(data: bytes, px: int, form: str) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((px, px), Image.Resampling.BOX).save(out, form)
    return out.getvalue()


def page_of(data: bytes) -> str:
    return f'<!doctype html><p>seen<img src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def mlflow_files(pool: Workspace, record_run: str = "") -> dict[str, Path]:
    """What runs logged in MLflow, by what it is: files of two runs, the second of which saw nothing of the image."""
    folder = pool.root / ".easel" / "mlflow" / "artifacts" / "easel"
    made = {
        "a page with a small copy": (
            record_run or "1" * 32,
            "report/index.html",
            page_of(scaled(IMAGES[2], 12, "PNG")),
        ),
        "a page of words": ("1" * 32, "docs/index.html", "<!doctype html><p>no picture"),
        "the image": ("1" * 32, "images/it.png", IMAGES[2]),
        "coded anew": ("1" * 32, "images/it.webp", scaled(IMAGES[2], 24, "WEBP")),
        "scaled": ("2" * 32, "images/large.png", scaled(IMAGES[2], 96, "PNG")),
        "another picture": ("2" * 32, "images/other.png", scaled(IMAGES[3], 96, "PNG")),
        "no picture at all": ("2" * 32, "images/torn.png", b"\x89PNG\r\n\x1a\n" + b"torn"),
    }
    for run_id, path, data in made.values():
        file = folder / run_id / "artifacts" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return {what: folder / run_id / "artifacts" / path for what, (run_id, path, _) in made.items()}


def test_what_runs_logged_of_the_image_goes_too(pool: Workspace) -> None:
    files = mlflow_files(pool)
    told = take_down(pool, "--sha256", GONE)
    assert {what for what, file in files.items() if file.exists()} == {
        "a page of words", "another picture", "no picture at all"
    }  # fmt: skip
    [home] = [one for one in told["receipt"]["deleted"] if one["place"] == "EASEL_HOME"]
    assert set(home["names"]) == {str(file) for file in files.values() if not file.exists()}
    assert not take_down(pool, "--sha256", GONE)["is_new"]


def test_a_page_of_a_run_that_saw_the_image_goes_even_when_the_data_are_gone(pool: Workspace, planted: Planted) -> None:
    saw = next(one for one in planted.records if one.subject == "evaluate").systems["mlflow_run"]
    files = mlflow_files(pool, saw)
    take_down(pool, "--sha256", sha("image 3"))
    assert {what for what, file in files.items() if not file.exists()} == {"a page with a small copy"}


def test_a_row_with_an_address_that_is_none_stops_no_takedown(pool: Workspace, tmp_path: Path) -> None:
    bad = "http://[::bad/x.png"
    row = {"source_id": bad, "image": IMAGES[5], "source": "made", "title_en": "", "style": "photo", "concept": ""}
    table = pa.Table.from_pylist([row | {"creator": "eve"}], schema=records.RAW)
    pq.write_table(table, pool.root / "data" / "images" / "part-00001.parquet")
    assert not preview(pool.root, Wish("url", "https://example.org/x.png")).was_seen
    assert [one.sample_id for one in preview(pool.root, Wish("url", bad)).matches] == [IDS[5]]
    assert take_down(pool, "--sha256", IDS[5])["receipt"]["was_seen"]
    assert holders(tmp_path, IMAGES[5]) == []
    assert opt_out.read_list(pool.root / "infra" / "opt-out.txt").names(IDS[5])


def test_an_image_that_is_a_file_of_its_own_was_seen_too(pool: Workspace) -> None:
    (pool.root / "data" / "labels").mkdir()
    (pool.root / "data" / "labels" / "one.png").write_bytes(picture(77))
    sha256 = hashlib.sha256(picture(77)).hexdigest()
    found = preview(pool.root, Wish("sha256", sha256))
    assert (found.was_seen, found.plan.raw) == (True, ["data/labels/one.png"])


def test_a_creator_whom_the_data_do_not_name_is_refused_unless_it_was_done_before(pool: Workspace) -> None:
    with pytest.raises(TakedownError, match=r"--creator 'Ann': no image in data/ has this creator") as refused:
        takedowns.take_down(pool.root, Order(Wish("creator", "Ann"), "r", "ann"))
    assert "\n" not in str(refused.value)
    with pytest.raises(TakedownError, match="nothing to take down"):
        preview(pool.root, Wish("creator", "Ann\x1b"))
    assert not (pool.root / ".easel" / "takedowns").exists()
    assert take_down(pool, "--creator", "ben")["is_new"]
    assert not take_down(pool, "--creator", "ben")["is_new"]


def test_what_people_said_of_the_image_goes_with_it(pool: Workspace, tmp_path: Path) -> None:
    labels = pool.root / "data" / "labels"
    labels.mkdir()
    for number in range(3):
        (labels / f"{number}.png").write_bytes(picture(70 + number))
    (labels / "photos.csv").write_text("image,score\n0.png,10\n1.png,50\n2.png,90\n")
    dvc = (sys.executable, "-m", "dvc")
    pool.run(*dvc, "add", "-q", "data")
    pool.run(*dvc, "push", "-q")
    named = [file for file in tmp_path.rglob("*") if file.is_file() and b"1.png,50" in file.read_bytes()]
    assert len(named) == 3  # in the workspace, the cache and the remote
    sha256 = hashlib.sha256(picture(71)).hexdigest()
    killed = run(pool, sys.executable, "-c", HALF_DONE, sha256, "1.png")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (labels / "1.png").exists()
    told = take_down(pool, "--sha256", sha256)
    assert told["receipt"]["was_seen"]
    assert told["receipt"]["affected"]["derived"]["labels"] == 1
    assert (labels / "photos.csv").read_text() == "image,score\n0.png,10\n2.png,90\n"
    assert [file for file in named if file.exists() and b"1.png,50" in file.read_bytes()] == []
    assert holders(tmp_path, picture(71)) == []
    assert not take_down(pool, "--sha256", sha256)["is_new"]


def test_the_bytes_of_the_given_file_are_looked_for_where_no_table_holds_them(pool: Workspace, tmp_path: Path) -> None:
    mine, page = tmp_path / "mine.png", pool.root / ".easel" / "runs" / "1" / "page.html"
    mine.write_bytes(picture(77))
    page.parent.mkdir(parents=True)
    page.write_text(page_of(picture(77)))
    assert preview(pool.root, Wish("file", str(mine))).plan.at_home == [str(page)]


@pytest.mark.parametrize("what", ["empty file", "digest of nothing", "folder", "device"])
def test_what_can_be_no_image_is_refused_in_one_line(tmp_path: Path, what: str) -> None:
    """Every empty cell of every table has the digest of nothing."""
    (tmp_path / "empty.png").touch()
    wishes = {
        "empty file": Wish("file", str(tmp_path / "empty.png")),
        "folder": Wish("file", str(tmp_path)),
        "device": Wish("file", "/dev/zero"),
    }
    with pytest.raises(TakedownError, match=r"empty|no bytes|no file") as refused:
        find_matches(tmp_path, wishes[what] if what in wishes else Wish("sha256", hashlib.sha256().hexdigest()))
    assert "\n" not in str(refused.value)


def test_no_terminal_obeys_what_the_data_say(pool: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "-eve\x1b[2J\r\n[/]<b>"
    row = {"source_id": hostile, "image": picture(77), "source": hostile, "title_en": hostile, "style": "photo"}
    table = pa.Table.from_pylist([row | {"concept": "", "creator": hostile}], schema=records.RAW)
    pq.write_table(table, pool.root / "data" / "images" / "part-\x1b[2J[b].parquet")
    monkeypatch.chdir(pool.root)
    asked = ["takedown", f"--creator={hostile}", "--reason", "r", "--by", "ann", "--dry-run"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output
    assert "part-\\x1b[2J[b].parquet" in shown.output
    sha256 = hashlib.sha256(picture(77)).hexdigest()
    assert sha256[:12] in shown.output


def test_a_strangers_receipt_is_shown_as_it_is_written(tmp_path: Path) -> None:
    told = "\x1b[2J[/b] [red]"
    parts: dict[str, Any] = {
        "request": Request(method="url", value="0" * 64, near=None, reason=told, by=told, policy="keep"),
        "affected": Affected(models=(told,), aliases=(told,), derived={told: 1}),
        "deleted": (Deleted(place=told, kind="deleted", names=(told,), size=1),),
        "left": (Left(place=told, why=told),),
    }
    receipt = Receipt(
        **parts, requested="", was_seen=True, matches=(), opt_out={}, started_at="", completed_at=""
    )  # fmt: skip
    (tmp_path / "receipt.json").write_bytes(sign(receipt, make_key(tmp_path / "key.pem")).data)
    shown = CliRunner().invoke(app, ["takedown", "--check", str(tmp_path / "receipt.json")])
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output
    assert shown.output.count("[/b] [red]") >= 5


def test_it_says_when_another_takedown_works(pool: Workspace) -> None:
    (pool.root / ".easel").mkdir(exist_ok=True)
    order = Order(Wish("sha256", GONE), "r", "ann")
    with (pool.root / ".easel" / "workspace.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another takedown works"):
            takedowns.take_down(pool.root, order)


def registered(pool: Workspace, planted: Planted) -> MlflowClient:
    """The planted models as versions 1 of both families, live in several ways; a stranger is version 2 of one."""
    (pool.root / ".easel" / "mlflow").mkdir(parents=True)
    client = MlflowClient(f"sqlite:///{pool.root / '.easel' / 'mlflow' / 'mlflow.db'}")
    records_ = {one.id: one for one in planted.records}
    for export, name in (("export", "easel"), ("export_turbo", "easel-turbo")):
        mark = {f"easel.fingerprint.{export}": records_[planted.ids[export]].fingerprint}
        client.create_registered_model(name)
        client.create_model_version(name, source=pool.root.as_uri(), tags=mark)
    client.create_model_version("easel", source=pool.root.as_uri())
    for name, alias, version in (
        ("easel", "candidate", "2"), ("easel", "best", "1"), ("easel-turbo", "champion", "1")
    ):  # fmt: skip
        client.set_registered_model_alias(name, alias, version)
    return client


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's, see test_takedown_affected
def test_withdrawn_models_lose_their_aliases_even_when_it_is_killed(pool: Workspace, planted: Planted) -> None:
    client, image = registered(pool, planted), sha("image 3")
    retrained = takedowns.take_down(pool.root, Order(Wish("sha256", image), "r", "ann"))
    assert b'"withdrawn"' not in retrained.signed.data
    assert client.get_registered_model("easel-turbo").aliases == {"champion": 1}
    code = KILLED.replace('"ann"))', '"ann", "withdraw"))')
    killed = run(pool, sys.executable, "-c", code, "3", image)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    told = take_down(pool, "--sha256", image, "--policy", "withdraw")
    assert told["is_new"]
    assert told["receipt"]["withdrawn"] == ["easel-turbo:champion", "easel:best"]
    assert [client.get_registered_model(name).aliases for name in ("easel", "easel-turbo")] == [{"candidate": 2}, {}]
    ledger = planted.ledger
    decided = [one for _, one in ledger.records() if one.decision.get("result") == "withdrawn"]
    assert [(one.subject, one.decision["before"], one.decision["version"]) for one in decided] == [
        ("easel-turbo", 1, None)
    ]  # fmt: skip
    assert withdrawal_of(ledger, "easel", 1)
    assert not withdrawal_of(ledger, "easel", 2)
    assert read_signed(Path(told["file"]).read_bytes()).receipt.withdrawn == ("easel-turbo:champion", "easel:best")
    assert not takedowns.take_down(pool.root, Order(Wish("sha256", image), "r", "ann", "withdraw")).is_new


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_who_goes_on_with_a_killed_takedown_may_ask_to_withdraw_too(pool: Workspace, planted: Planted) -> None:
    client, image = registered(pool, planted), sha("image 3")
    killed = run(pool, sys.executable, "-c", KILLED, "3", image)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = takedowns.take_down(pool.root, Order(Wish("sha256", image), "r", "ann", "withdraw"))
    assert done.signed.receipt.request.policy == "withdraw"
    assert client.get_registered_model("easel-turbo").aliases == {}


def test_a_second_time_nothing_is_done(pool: Workspace) -> None:
    first = take_down(pool, "--sha256", GONE)
    again = take_down(pool, "--sha256", GONE)
    assert not again["is_new"]
    assert again["digest"] == first["digest"]


@pytest.mark.parametrize("number", [2, 4, 6, 8])
def test_a_killed_takedown_goes_on(pool: Workspace, tmp_path: Path, number: int) -> None:
    killed = run(pool, sys.executable, "-c", KILLED, str(number), GONE)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert take_down(pool, "--sha256", GONE)["is_new"]
    assert holders(tmp_path) == []
    assert list((pool.root / ".easel" / "takedowns").glob("*.pending.json")) == []
    ledger = Ledger(FolderStore(pool.root / ".easel" / "ledger"))
    assert [record.decision["state"] for _, record in ledger.records()] == ["requested", "completed"]


def test_an_image_never_seen_is_listed_all_the_same(pool: Workspace) -> None:
    other = hashlib.sha256(b"elsewhere").hexdigest()
    told = take_down(pool, "--sha256", other)
    assert not told["receipt"]["was_seen"]
    assert told["receipt"]["deleted"] == []
    assert Path(told["proofs"]).is_file()
    assert opt_out.read_list(pool.root / "infra" / "opt-out.txt").names(other)


def test_a_creator_is_shown_first_and_a_dry_run_writes_nothing(pool: Workspace) -> None:
    before = pool.run("git", "status", "--porcelain").stdout
    shown = easel(pool, "takedown", "--creator", "ben", "--reason", "r", "--dry-run", "--json")
    assert len(json.loads(shown.stdout)["matches"]) == 2, shown.stderr
    assert pool.run("git", "status", "--porcelain").stdout == before


def test_it_is_refused_while_a_build_runs_unless_it_shall_wait(pool: Workspace, tmp_path: Path) -> None:
    (pool.root / ".easel").mkdir(exist_ok=True)
    asked = ("takedown", "--sha256", GONE, "--reason", "r", "--by", "ann", "--yes")
    with (pool.root / ".easel" / "workspace.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        began = time.monotonic()
        refused = easel(pool, *asked)
        took_s = time.monotonic() - began
        waiting = subprocess.Popen(
            command(*asked, "--wait"), cwd=pool.root, env=environment(pool), stderr=subprocess.PIPE, text=True
        )
        time.sleep(took_s + 1)  # by then the one that does not wait had given up
        assert waiting.poll() is None
        assert not (pool.root / "infra" / "opt-out.txt").exists()
        assert len(holders(tmp_path)) == 7
    assert waiting.communicate(timeout=120)[1].count("a build runs") == 0
    assert waiting.returncode == 0
    assert holders(tmp_path) == []
    assert refused.returncode == 1
    assert "a build runs here" in refused.stderr


def test_near_duplicates_go_along_when_asked_and_only_then(pool: Workspace, tmp_path: Path) -> None:
    look = 0x0123456789ABCDEF
    looks = [look ^ 0xFFFF_FFFF, look ^ 0b1111, look, look ^ 0xFFFF << 20, look ^ 0b10011, look ^ 0xFFFF << 40]
    words = {
        name: [f"{name} {number}" for number in range(6)] for name in ("source_id", "source", "creator", "title_en")
    }
    (pool.root / "artifacts" / "tables").mkdir()
    table = pa.table({"sample_id": IDS, "phash": pa.array(looks, pa.uint64()), **words})
    pq.write_table(table, pool.root / "artifacts" / "tables" / "catalogue.parquet")
    for near in ((), ("--near", "2")):
        shown = easel(pool, "takedown", "--sha256", GONE, *near, "--reason", "r", "--dry-run", "--json")
        assert [one["sample_id"] for one in json.loads(shown.stdout)["matches"]] == [GONE], shown.stderr
    told = take_down(pool, "--sha256", GONE, "--near", "3")
    salt = opt_out.read_list(pool.root / "infra" / "opt-out.txt").salt
    found = {one["digest"]: (one["method"], one["distance"]) for one in told["receipt"]["matches"]}
    assert found == {opt_out.digest(salt, GONE): ("sha256", 0), opt_out.digest(salt, NEAR): ("near", 3)}
    assert holders(tmp_path) == holders(tmp_path, IMAGES[4]) == []
    left = pq.read_table(pool.root / "data" / "images" / "part-00000.parquet").column("image").to_pylist()
    assert left == [data for data in IMAGES if data not in (IMAGES[2], IMAGES[4])]


def test_a_remote_on_s3_is_cleared_and_gets_the_new_data(pool: Workspace, bucket: Any) -> None:
    dvc = (sys.executable, "-m", "dvc")
    pool.run(*dvc, "remote", "add", "far", "s3://pool/kept")
    pool.run(*dvc, "remote", "modify", "far", "endpointurl", os.environ["AWS_ENDPOINT_URL"])
    pool.run(*dvc, "push", "-q", "-r", "far")

    def stored() -> dict[str, bytes]:
        found = bucket.list_objects_v2(Bucket="pool", Prefix="kept/").get("Contents", [])
        return {one["Key"]: bucket.get_object(Bucket="pool", Key=one["Key"])["Body"].read() for one in found}

    before = stored()
    holding = {key for key, data in before.items() if is_in(data, IMAGES[2])}
    assert len(holding) == 2  # the table and the loose file
    told = take_down(pool, "--sha256", GONE)
    after = stored()
    assert [key for key, data in after.items() if is_in(data, IMAGES[2])] == []
    assert not holding & after.keys()
    [far] = [one for one in told["receipt"]["deleted"] if one["place"] == "DVC remote far"]
    gone = {f"kept/files/md5/{name[:2]}/{name[2:]}" for name in far["names"]}
    assert gone == before.keys() - after.keys() > holding
    assert far["size"] == sum(len(before[key]) for key in gone)
    [left] = [one for one in told["receipt"]["left"] if one["place"].startswith("DVC remote")]
    assert left["place"] == "DVC remote far"
    assert "old versions" in left["why"]

    def object_of(name: str) -> bytes:
        return after[f"kept/files/md5/{name[:2]}/{name[2:]}"]

    pinned = yaml.safe_load((pool.root / "data.dvc").read_text())["outs"][0]["md5"]
    listed = json.loads(object_of(pinned))
    kept = {
        path.relative_to(pool.root / "data").as_posix() for path in (pool.root / "data").rglob("*") if path.is_file()
    }
    assert {one["relpath"] for one in listed} == kept == {"words.txt", "images/part-00000.parquet"}
    for one in listed:
        assert object_of(one["md5"]) == (pool.root / "data" / one["relpath"]).read_bytes()


def test_the_image_landed_again_is_refused_and_can_be_taken_down_again(
    pool: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = take_down(pool, "--sha256", GONE)
    write_raw(pool.root / "data" / "images" / "part-00001.parquet", [IMAGES[2]])
    default = yaml.safe_load((ROOT / "params.yaml").read_text())
    outputs = {role: tmp_path / "made" / role for role in ("images", "catalogue", "quarantine", "refusals")}
    ingested = ingest.Params.model_validate(default["ingest"] | {"pools": ["images"]})
    ingest.ingest(ingested, raw=pool.root / "data", **outputs)
    pinned = yaml.safe_load((pool.root / "params.yaml").read_text())["filter_images"]
    filters = default["filter_images"]["filters"] | pinned["filters"]
    asked = default["filter_images"] | {"filters": filters, "opt_out": pinned["opt_out"], "evaluation": None}
    monkeypatch.chdir(pool.root)  # the list is named by its path in the workspace
    verdicts = tmp_path / "made" / "verdicts"
    filter_images.filter_images(
        filter_images.Params.model_validate(asked),
        images=outputs["images"], catalogue=outputs["catalogue"], verdicts=verdicts,
    )  # fmt: skip
    told = records.read_table(verdicts, records.VERDICTS)
    reasons = dict(zip(told["sample_id"].to_pylist(), told["reason"].to_pylist(), strict=True))
    assert reasons == {one: "opted_out" if one == GONE else "" for one in IDS}
    shutil.rmtree(tmp_path / "made")
    again = take_down(pool, "--sha256", GONE)
    assert again["is_new"]
    assert again["file"] != first["file"]
    assert holders(tmp_path) == []


def test_absence_is_proven_for_every_sample_set_of_the_ledger(pool: Workspace, planted: Planted) -> None:
    told = take_down(pool, "--sha256", sha("never seen"))
    assert not told["receipt"]["was_seen"]
    data = Path(told["proofs"]).read_bytes()
    assert told["receipt"]["proofs"] == hashlib.sha256(data).hexdigest()
    given = json.loads(data)
    proofs = [(one["root"], SampleProof.from_json(one["proof"])) for one in given["proofs"]]
    assert {root for root, _ in proofs} == {plain_root(packed) for packed in planted.sets.values()}
    for root, proof in proofs:
        assert check(proof, root)
        assert (proof.sample_id, proof.is_member) == (sha("never seen"), False)
    shifted = zip(proofs, [*proofs[1:], proofs[0]], strict=True)
    assert not any(check(proof, root) for (root, proof), (other, _) in shifted for root in [other] if other != root)


def test_the_run_after_a_takedown_is_proven_to_be_without_the_image(
    pool: Workspace, planted: Planted, tmp_path: Path
) -> None:
    image = sha("image 3")
    told = take_down(pool, "--sha256", image)
    assert told["receipt"]["was_seen"]
    assert planted.ids["export_turbo"] in told["receipt"]["affected"]["records"]
    both = sample_records(versions=2, decisions=False)  # the second was made without the image
    for record in both.records[len(planted.records) :]:
        planted.ledger.append(record, both.blobs_of(record))
    public = tmp_path / "public.pem"
    for reference, is_drawn in ((both.ids["export_turbo@2"], False), (planted.ids["export_turbo"], True)):
        file = tmp_path / f"{reference}.json"
        written = easel(pool, "lineage", "proof", image, "--in", reference, "--out", str(file))
        assert written.returncode == 0, written.stderr
        document = json.loads(file.read_text())
        public.write_text(document["public_key"])
        checked = easel(pool, "lineage", "proof", "--check", str(file), "--key", str(public), "--json")
        shown = json.loads(checked.stdout)
        assert (shown["holds"], shown["is_drawn"], shown["is_in_any"]) == (True, is_drawn, is_drawn), checked.stderr
        roots = {(one.id, kept.role): kept.root for one in both.records for kept in one.samples.sets}
        assert all(
            check(SampleProof.from_json(one["proof"]), roots[one["record"], one["role"]]) for one in document["sets"]
        )
