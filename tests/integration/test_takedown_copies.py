"""What a takedown finds beside the data: what runs logged and people said, aliases of models, and hostile words."""

import base64
import fcntl
import hashlib
import io
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from PIL import Image
from typer.testing import CliRunner

from components.data import opt_out, records
from components.lineage.keys import make_key
from components.lineage.takedown import Affected, Deleted, Left, Receipt, Request, read_signed, sign
from flows.cli import app
from flows.lineage import takedowns
from flows.lineage.takedown_matches import TakedownError, Wish, find_matches
from flows.lineage.takedown_work import Order
from flows.lineage.takedowns import preview
from flows.lineage.withdrawals import withdrawal_of
from flows.workspace_lock import BusyError
from tests.conftest import Workspace
from tests.integration.takedown_pool import (
    GONE,
    HALF_DONE,
    IDS,
    IMAGES,
    KILLED,
    holders,
    picture,
    run,
    take_down,
)
from tests.ledgers import Planted, sha


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
