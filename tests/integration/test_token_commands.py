"""The commands, in a workspace whose ledger is signed by a key on a token; each in a process of its own, as people run
them, since a PKCS#11 module reads its settings once in a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from softhsm import MODULE, PIN, SoftHsm, key_uri

from components.lineage.keys import load_signer, make_key

pytestmark = pytest.mark.skipif(MODULE is None, reason="needs SoftHSM 2")
ROOT = Path(__file__).parents[2]
APPEND = """
from pathlib import Path
from components.lineage.record import Record
from flows.lineage.ledger import open_ledger

times = {"started_at": "2026-11-23T12:00:00.000Z", "ended_at": "2026-11-23T12:00:01.000Z"}
ledger = open_ledger(Path.cwd(), to_write=True)
for number in range(3):
    ledger.append(Record(kind="stage", subject=f"stage_{number}", **times))
"""


class Workspace:
    """An empty Easel repository, and a token with a key whose id we know from its file."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone"
        (self.root / "flows").mkdir(parents=True)
        (self.root / "flows" / "pipeline.py").touch()
        key = folder / "known.pem"
        self.key_id = make_key(key).key_id
        hsm = SoftHsm(folder)
        hsm.make_token("audit")
        hsm.put("audit", "ledger", "01", key)
        self.settings = folder / "settings"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("EASEL_", "PKCS11_"))}
        self.environment = kept | hsm.environment
        self.environment |= {"XDG_CONFIG_HOME": str(self.settings), "PYTHONPATH": str(ROOT), "EASEL_LEDGER_PIN": PIN}
        self.environment["EASEL_LEDGER_KEY"] = key_uri("token=audit;object=ledger")

    def python(self, *arguments: str, code: int = 0) -> str:
        """What a process in the workspace says."""
        command = [sys.executable, "-P", *arguments]
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert PIN not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def easel(self, *arguments: str, code: int = 0) -> str:
        """What a command says."""
        return self.python("-m", "flows", *arguments, code=code)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def test_a_token_signs_the_ledger_of_a_workspace(workspace):
    assert json.loads(workspace.easel("keys", "show", "--json"))["key_id"] == workspace.key_id
    workspace.python("-c", APPEND)
    report = json.loads(workspace.easel("lineage", "check", "--json"))
    assert report["holds"]
    assert report["spans"] == [{"key_id": workspace.key_id, "first": 0, "last": 2}]
    said = workspace.easel("keys", "init", code=1)
    assert "EASEL_LEDGER_KEY or EASEL_LEDGER_SIGNER names a key that is no file; unset it, or give --file" in said
    assert not workspace.settings.exists()
    assert PIN.encode() not in b"".join(file.read_bytes() for file in workspace.root.rglob("*") if file.is_file())


def test_the_pin_and_the_module_come_from_the_environment_or_the_uri(workspace, tmp_path):
    workspace.environment |= {"EASEL_LEDGER_KEY": "pkcs11:object=ledger", "PKCS11_MODULE_PATH": str(MODULE)}
    workspace.python("-c", APPEND)
    workspace.environment["EASEL_LEDGER_PIN"] = "71536042"
    (tmp_path / "pin").write_text(PIN)
    workspace.environment["EASEL_LEDGER_KEY"] = f"pkcs11:object=ledger?pin-source=file:{tmp_path / 'pin'}"
    workspace.python("-c", APPEND.replace("stage_", "part_"))
    assert "holds: 6 entries" in workspace.easel("lineage", "check")


def test_a_mistake_is_one_line(workspace):
    workspace.environment["EASEL_LEDGER_KEY"] = key_uri("token=audit;object=other")
    assert workspace.easel("keys", "show", code=1) == (
        "error: token 'audit': no public key 'other' on it; both halves must be there\n"
    )
    workspace.environment |= {"EASEL_LEDGER_KEY": "pkcs11:object=ledger"}
    assert workspace.easel("keys", "show", code=1).count("\n") == 1


def test_a_key_file_is_made_beside_a_token_when_it_is_named(workspace, tmp_path):
    file = tmp_path / "more.pem"
    assert f"set EASEL_LEDGER_KEY={file}" in workspace.easel("keys", "init", "--file", str(file))
    assert load_signer(file=file).key_id != workspace.key_id
