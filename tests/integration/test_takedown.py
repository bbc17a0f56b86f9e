"""A takedown in a real workspace, with git, DVC and a remote: no file holds the image afterwards, however it ends."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from components.data import opt_out, records
from components.lineage.log import Ledger
from components.lineage.manifest import SampleProof, check
from components.lineage.store import FolderStore
from flows.stages import filter_images, ingest
from tests.conftest import ROOT, Workspace
from tests.integration.takedown_pool import (
    GONE,
    IDS,
    IMAGES,
    KILLED,
    NEAR,
    command,
    easel,
    environment,
    holders,
    is_in,
    run,
    take_down,
    write_raw,
)
from tests.ledgers import Planted, plain_root, sample_records, sha


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
