"""What the environment says of the ledger, and what stands where it says nothing."""

import tempfile
from pathlib import Path

from flows.lineage import settings


def test_the_ledger_lies_in_this_workspace_unless_told(tmp_path, monkeypatch):
    for name in ("EASEL_LEDGER", "EASEL_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert settings.ledger_place(tmp_path) == f"{tmp_path}/.easel/ledger"
    monkeypatch.setenv("EASEL_LEDGER", "s3://bucket/some/place")
    assert settings.ledger_place(tmp_path) == "s3://bucket/some/place"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EASEL_LEDGER", "elsewhere")
    assert settings.ledger_place(tmp_path) == f"{tmp_path}/elsewhere"


def test_the_ledgers_key_is_a_command_a_text_a_token_a_file_or_the_default_one(monkeypatch):
    for name in ("EASEL_LEDGER_SIGNER", "EASEL_LEDGER_KEY", "EASEL_LEDGER_PUBLIC_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/settings")
    assert settings.ledger_key() == settings.LedgerKey(file=Path("/settings/easel/ledger-key.pem"), is_default=True)
    monkeypatch.setenv("EASEL_LEDGER_KEY", "/keys/mine.pem")
    assert settings.ledger_key() == settings.LedgerKey(file=Path("/keys/mine.pem"))
    monkeypatch.setenv("EASEL_LEDGER_KEY", "-----BEGIN PRIVATE KEY-----\n")
    assert settings.ledger_key().pem == "-----BEGIN PRIVATE KEY-----\n"
    monkeypatch.setenv("EASEL_LEDGER_KEY", "PKCS11:object=mine?pin-value=7351")
    monkeypatch.setenv("EASEL_LEDGER_PIN", "7352")
    monkeypatch.setenv("PKCS11_MODULE_PATH", "/lib/token.so")
    found = settings.ledger_key()
    assert (found.token, found.pin, found.module) == ("PKCS11:object=mine?pin-value=7351", "7352", "/lib/token.so")
    assert "735" not in repr(found)
    monkeypatch.setenv("EASEL_LEDGER_SIGNER", "sign --with token")
    monkeypatch.setenv("EASEL_LEDGER_PUBLIC_KEY", "/keys/public.pem")
    assert settings.ledger_key() == settings.LedgerKey(command="sign --with token", public=Path("/keys/public.pem"))


def test_no_test_can_reach_a_persons_own_key():
    file = settings.ledger_key().file
    assert file is not None
    assert not file.is_relative_to(Path.home() / ".config")  # a home may hold the folder of temporary files
    assert file.is_relative_to(tempfile.gettempdir())
