"""The commands about keys and the log, in a workspace whose ledger was filled."""

import json
import re
import shutil
import signal
import subprocess
import sys

import pytest

from components.lineage.keys import load_signer
from components.lineage.log import Ledger
from components.lineage.record import Record
from components.lineage.store import FolderStore

TIMES = {"started_at": "2026-11-23T12:00:00.000Z", "ended_at": "2026-11-23T12:00:01.000Z"}


def record(number):
    return Record(kind="stage", subject=f"stage_{number}", **TIMES)


class Place:
    """An empty Easel repository, whose settings folder and ledger are its own."""

    def __init__(self, folder):
        self.root = folder / "clone"
        (self.root / "flows").mkdir(parents=True)
        (self.root / "flows" / "pipeline.py").touch()
        subprocess.run(["git", "init", "--quiet"], cwd=self.root, check=True)
        self.key = folder / "settings" / "easel" / "ledger-key.pem"
        self.store = FolderStore(self.root / ".easel" / "ledger")
        self.folder = folder

    def easel(self, *arguments, monkeypatch, code=0):
        """Runs in this process, as `python -m flows` would in the workspace."""
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
        with monkeypatch.context() as patch:
            patch.chdir(self.root)
            patch.setenv("XDG_CONFIG_HOME", str(self.folder / "settings"))
            patch.delenv("EASEL_HOME", raising=False)
            from flows import cli

            patch.setattr(sys, "argv", ["easel", *arguments])
            with pytest.raises(SystemExit) as left:
                cli.main()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        assert (left.value.code or 0) == code

    def append(self, *numbers):
        ledger = Ledger(self.store, load_signer(file=self.key))
        return [ledger.append(record(number)) for number in numbers]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def easel(place, monkeypatch, capsys):
    """Runs a command and gives what it printed; `code` is how it must leave."""

    def run(*arguments, code=0):
        place.easel(*arguments, monkeypatch=monkeypatch, code=code)
        said = capsys.readouterr()
        return re.sub(r"\s+", " ", said.out + said.err)

    return run


def test_a_key_is_made_once_shown_and_never_replaced(place, easel):
    assert "no key there" in easel("keys", "show", code=1)
    made = json.loads(easel("keys", "init", "--json"))
    assert made["file"] == str(place.key)
    assert place.key.stat().st_mode & 0o777 == 0o600
    assert json.loads(easel("keys", "show", "--json"))["key_id"] == made["key_id"]
    place.append(0)
    assert "has signed nothing in this ledger" not in easel("lineage", "check")
    place.key.rename(place.folder / "old.pem")
    easel("keys", "init")
    assert "has signed nothing in this ledger" in easel("lineage", "check")
    assert "exists already and is not replaced" in easel("keys", "init", code=1)
    inside = place.root / "key.pem"
    assert "lies in the git repository" in easel("keys", "init", "--file", str(inside), code=1)
    assert not inside.exists()


def test_a_head_kept_in_a_file_and_a_tag_shows_what_was_cut_off(place, easel):
    easel("keys", "init")
    place.append(0, 1, 2)
    kept = place.folder / "head.json"
    assert "3 entries" in easel("lineage", "head", "--export", str(kept), "--tag")
    place.append(3)
    for against in (str(kept), "ledger/000000000003"):
        assert "holds: 4 entries" in easel("lineage", "check", "--against", against)
    folder = place.root / ".easel" / "ledger"
    for name in ("entries/000000000002.json", "entries/000000000003.json"):
        (folder / name).unlink()
    for name in ("heads/000000000003.json", "heads/000000000004.json"):
        (folder / name).unlink()
    assert "holds: 2 entries" in easel("lineage", "check")
    said = easel("lineage", "check", "--against", "ledger/000000000003", code=1)
    assert "entries/000000000002.json: removed: the head kept elsewhere counts 3 entries" in said
    place.append(7)
    said = easel("lineage", "check", "--against", str(kept), code=1)
    assert "forked: the head kept elsewhere has another root at 3" in said
    assert "names a head with another root" in easel("lineage", "head", "--tag", code=1)
    assert "neither a file nor a git tag" in easel("lineage", "check", "--against", "nowhere", code=1)


def test_a_head_is_tagged_where_git_signs_every_tag(place, easel):
    for name in ("tag.gpgSign", "tag.forceSignAnnotated"):
        subprocess.run(["git", "config", name, "true"], cwd=place.root, check=True)
    easel("keys", "init")
    place.append(0)
    assert "tagged ledger/000000000001" in easel("lineage", "head", "--tag")
    assert "holds: 1 entries" in easel("lineage", "check", "--against", "ledger/000000000001")


def test_a_check_of_nothing_does_not_pass_and_says_where_it_looked(place, easel):
    for more in ((), ("--json",)):
        said = easel("lineage", "check", *more, code=1)
        assert f"{place.store}: no ledger there" in said
        assert "holds" not in said


def test_a_check_says_where_nothing_is_signed(place, easel):
    easel("keys", "init")
    place.append(0, 1)
    shutil.rmtree(place.root / ".easel" / "ledger" / "heads")
    said = easel("lineage", "check")
    assert "the last 2 entries are under no signed head yet" in said
    assert "nothing here is signed" in said


def test_after_a_lost_key_a_new_one_signs_and_the_check_says_from_where_on(place, easel):
    first = json.loads(easel("keys", "init", "--json"))["key_id"]
    place.append(0, 1)
    place.key.unlink()
    assert "makes a new one (earlier heads stay valid)" in easel("keys", "show", code=1)
    second = json.loads(easel("keys", "init", "--json"))["key_id"]
    place.append(2)
    report = json.loads(easel("lineage", "check", "--json"))
    assert report["holds"]
    assert report["spans"] == [
        {"key_id": first, "first": 0, "last": 1},
        {"key_id": second, "first": 2, "last": 2},
    ]
    old = place.root / ".easel" / "ledger" / "keys" / f"{first}.pem"
    said = easel("lineage", "check", "--key", str(old), code=1)
    assert f"heads/000000000003.json: signed with key {second}, which is none of the trusted keys" in said
    new = place.root / ".easel" / "ledger" / "keys" / f"{second}.pem"
    assert "holds" in easel("lineage", "check", "--key", str(old), "--key", str(new))


def test_a_proof_is_printed_and_holds(place, easel):
    from components.lineage.log import InclusionProof

    easel("keys", "init")
    entries = place.append(0, 1, 2)
    proof = InclusionProof.model_validate_json(easel("lineage", "proof", entries[1].record_id[:8]))
    assert proof.holds(load_signer(file=place.key).public_pem)
    assert "no record in the ledger begins with" in easel("lineage", "proof", "abcdef0", code=1)


def test_a_proof_of_a_record_is_checked_by_itself_with_a_key(place, easel):
    easel("keys", "init")
    entries = place.append(0, 1, 2, 3, 4)
    file, public = place.folder / "to hand out" / "proof.json", place.folder / "public.pem"
    public.write_text(json.loads(easel("keys", "show", "--json"))["public_key"])
    assert f"wrote {file}" in easel("lineage", "proof", entries[3].record_id, "--out", str(file))
    shutil.rmtree(place.root / ".easel")
    said = easel("lineage", "proof", "--check", str(file), "--key", str(public))
    assert f"holds: record {entries[3].record_id} (stage stage_3) is entry 3 of 5" in said
    told = json.loads(easel("lineage", "proof", "--check", str(file), "--key", str(public), "--json"))
    assert (told["holds"], told["record"], told["entry"]) == (True, entries[3].record_id, 3)
    assert told["log"]["size"] == 5
    assert "give the public key of the ledger" in easel("lineage", "proof", "--check", str(file), code=1)
    no_key = easel("lineage", "proof", "--check", str(file), "--key", "nowhere.pem", code=1)
    assert "error: nowhere.pem: cannot be read as a public key: No such file or directory" in no_key
    text = file.read_text()
    for old, new in (("stage_3", "stage_4"), ('"index": 3', '"index": 2'), ('"size": 5', '"size": 6')):
        assert old in text
        file.write_text(text.replace(old, new))
        assert "does not hold" in easel("lineage", "proof", "--check", str(file), "--key", str(public), code=1)
        asked = ("lineage", "proof", "--check", str(file), "--key", str(public), "--json")
        assert json.loads(easel(*asked, code=1))["holds"] is False
    file.write_text(text.replace('"index"', '"place"'))
    assert "no proof about a record: entry.index" in easel(
        "lineage", "proof", "--check", str(file), "--key", str(public), code=1
    )


def test_what_a_proof_of_a_record_shows_is_one_line(place, monkeypatch, capsys):
    place.easel("keys", "init", monkeypatch=monkeypatch)
    entry, *_ = place.append(0, 1)
    monkeypatch.setenv("COLUMNS", "80")
    place.easel("lineage", "proof", entry.record_id, "--out", "proof.json", monkeypatch=monkeypatch)
    key = next((place.root / ".easel" / "ledger" / "keys").iterdir())
    capsys.readouterr()
    place.easel("lineage", "proof", "--check", "proof.json", "--key", str(key), monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    expected = f"holds: record {entry.record_id} (stage stage_0) is entry 0 of 2, appended {entry.appended_at}"
    assert said.splitlines() == [expected]


def test_the_first_run_makes_a_key_and_a_ledger_whose_key_is_lost_does_not(place, monkeypatch, capsys):
    from flows.lineage.ledger import open_ledger

    monkeypatch.setenv("XDG_CONFIG_HOME", str(place.folder / "settings"))
    monkeypatch.delenv("EASEL_HOME", raising=False)
    open_ledger(place.root, to_write=True).append(record(1))
    assert "made the ledger's signing key" in capsys.readouterr().err
    open_ledger(place.root, to_write=True).append(record(2))
    assert not capsys.readouterr().err
    place.key.unlink()
    with pytest.raises(ValueError, match="the ledger's key is not there; bring it back"):
        open_ledger(place.root, to_write=True)


def test_keys_come_from_the_environment_but_not_from_the_repository(place, monkeypatch):
    from components.lineage.keys import make_key
    from flows.lineage.ledger import signer

    made = make_key(place.folder / "mine.pem")
    monkeypatch.setenv("EASEL_LEDGER_KEY", (place.folder / "mine.pem").read_text())
    assert signer(place.root).key_id == made.key_id
    monkeypatch.setenv("EASEL_LEDGER_KEY", str(place.folder / "mine.pem"))
    assert signer(place.root).key_id == made.key_id
    (place.folder / "public.pem").write_bytes(made.public_pem)
    monkeypatch.setenv("EASEL_LEDGER_SIGNER", f"openssl dgst -sha256 -sign {place.folder / 'mine.pem'}")
    monkeypatch.setenv("EASEL_LEDGER_PUBLIC_KEY", str(place.folder / "public.pem"))
    assert signer(place.root).sign(b"x")
    monkeypatch.delenv("EASEL_LEDGER_SIGNER")
    (place.root / "mine.pem").write_text((place.folder / "mine.pem").read_text())
    monkeypatch.setenv("EASEL_LEDGER_KEY", str(place.root / "mine.pem"))
    with pytest.raises(ValueError, match="lies in the repository"):
        signer(place.root)
