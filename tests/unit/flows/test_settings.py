"""Profiles and settings: what the environment may say, and what is refused."""

import os
import tempfile
from pathlib import Path

import pytest

from components.training.config import Execution
from flows import settings


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ("EASEL_HOME", "EASEL_PROFILE", "EASEL_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "infra" / "profiles").mkdir(parents=True)
    (tmp_path / "infra" / "profiles" / "cpu.yaml").write_text("accelerator: cpu\nthreads: 2\n")
    return tmp_path


def test_the_default_profile_is_cpu(root):
    assert settings.load_profile(root) == settings.Profile("cpu", 2, Execution(accelerator="cpu"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gpu", None, "no profile is called 'gpu'; infra/profiles/ holds: cpu"),
        ("odd", "accelerator: cpu\nthreads: 2\nspeed: 9\n", "infra/profiles/odd.yaml"),
        ("few", "accelerator: cpu\n", "infra/profiles/few.yaml"),
    ],
)
def test_a_wrong_profile_is_one_line(root, name, text, said):
    if text:
        (root / "infra" / "profiles" / f"{name}.yaml").write_text(text)
    with pytest.raises(settings.SettingsError, match=said):
        settings.load_profile(root, name)


def test_tracking_goes_to_this_workspace_unless_told(root, monkeypatch):
    assert settings.tracking_uri(root) == f"sqlite:///{root}/.easel/mlflow/mlflow.db"
    monkeypatch.setenv("EASEL_TRACKING_URI", "http://127.0.0.1:5000")
    assert settings.tracking_uri(root) == "http://127.0.0.1:5000"


def test_a_place_among_somebody_elses_ranks_is_forgotten(monkeypatch):
    for name, value in {"RANK": "3", "WORLD_SIZE": "8", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    assert (settings.current_rank(), settings.num_ranks()) == (3, 8)
    settings.stand_alone()
    assert (settings.current_rank(), settings.num_ranks()) == (0, 1)
    assert "TORCHELASTIC_RUN_ID" not in os.environ


def test_outside_a_repository_one_line_says_so(tmp_path):
    with pytest.raises(settings.SettingsError, match="no Easel repository"):
        settings.find_root(tmp_path)


def test_the_ledger_lies_in_this_workspace_unless_told(root, monkeypatch):
    monkeypatch.delenv("EASEL_LEDGER", raising=False)
    assert settings.ledger_place(root) == f"{root}/.easel/ledger"
    monkeypatch.setenv("EASEL_LEDGER", "s3://bucket/some/place")
    assert settings.ledger_place(root) == "s3://bucket/some/place"
    monkeypatch.chdir(root)
    monkeypatch.setenv("EASEL_LEDGER", "elsewhere")
    assert settings.ledger_place(root) == f"{root}/elsewhere"


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
