"""Profiles and settings: what the environment may say, and what is refused."""

import os

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
