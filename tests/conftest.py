"""Fixtures of all tests: quiet libraries, a seed, and a small workspace whose stages run under the real executors."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from flows.settings import QUIET

os.environ.update(QUIET)
# How long an example takes is the machine's affair, and every run draws the same ones.
settings.register_profile("easel", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("easel")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: a second thread costs more than it computes
for setting in [name for name in os.environ if name.startswith("EASEL_LEDGER")]:
    del os.environ[setting]  # a ledger lies in the workspace that a test makes
_SETTINGS = tempfile.TemporaryDirectory()
os.environ["XDG_CONFIG_HOME"] = _SETTINGS.name  # where the ledger's key is made: never in a person's own folder
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a test starts finds the default then, as we do
ROOT = Path(__file__).parents[1]

STAGE = '''"""A stage for tests: repeats its input, slowly enough to be killed, or fails as told."""

import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel


class Params(BaseModel, frozen=True, extra="forbid"):
    times: int
    pause_s: float
    fail: str


@dataclass(frozen=True)
class Metrics:
    characters: int


def {name}(p: Params, *, {read}: Path, {made}: Path) -> Metrics:
    """Repeat what it reads."""
    from components.tracking import current_run

    run = current_run()
    if p.fail == "mistake":
        raise ValueError("data/words.txt: line 1 is empty; write a word there")
    if p.fail == "fault":
        raise RuntimeError("boom")
    text = ({read} / "words.txt" if {read}.is_dir() else {read}).read_text()
    with {made}.open("w") as out:
        for i in range(p.times):
            out.write(text)
            out.flush()
            run.progress(i + 1, p.times, loss=1 / (i + 1))
            run.log_metrics({{"loss": 1 / (i + 1)}}, step=i)
            time.sleep(p.pause_s)
    if p.fail == "full":
        raise OSError(28, "No space left on device", str({made}))
    return Metrics(characters=len(text) * p.times)
'''
PIPELINE = '''"""Two branches and a join of small stages."""

from flows.declaration import Artifact, Pipeline, Stage
from flows.stages.first import first
from flows.stages.second import second

FIRST = Stage(first, inputs={"words": Artifact("data")}, outputs={"once": "artifacts/once.txt"})
SECOND = Stage(second, inputs={"once": FIRST.out("once")}, outputs={"twice": "artifacts/twice.txt"})
PIPELINE = Pipeline(FIRST, SECOND)
'''
PARAMS = """first: {times: 2, pause_s: 0.0, fail: ""}
second: {times: 3, pause_s: 0.0, fail: ""}
"""


class Workspace:
    """A git repository with this checkout's `flows` and `components`, two small stages, and DVC-tracked data."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fill(self) -> None:
        """Write and commit everything that it starts with."""
        root = self.root
        for name in ("flows", "components", "infra/profiles"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (root / "flows" / "stages").glob("[!_]*.py"):
            file.unlink()
        for name, read, made in (("first", "words", "once"), ("second", "once", "twice")):
            text = STAGE.format(name=name, read=read, made=made)
            (root / "flows" / "stages" / f"{name}.py").write_text(text)
        (root / "flows" / "pipeline.py").write_text(PIPELINE)
        (root / "params.yaml").write_text(PARAMS)
        (root / "README.md").write_text("# small\n")
        (root / ".gitignore").write_text("/artifacts/\n/.easel/\n__pycache__/\n")
        shutil.copyfile(ROOT / ".dvcignore", root / ".dvcignore")
        (root / "requirements.lock").touch()
        (root / "dvc.yaml").touch()
        (root / "data").mkdir()
        (root / "data" / "words.txt").write_text("apple\n")
        self.run("git", "init", "--quiet")
        self.run(sys.executable, "-m", "dvc", "init", "--quiet")
        self.run(sys.executable, "-m", "dvc", "add", "--quiet", "data")
        self.easel("sync")
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "start")

    @property
    def environment(self) -> dict[str, str]:
        """A clean environment: only this workspace's code, state and settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EASEL_", "PREFECT_", "MLFLOW_"))}
        return {**kept, **QUIET, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace."""
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=check, timeout=300
        )

    def easel(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line, as `python -m flows` does."""
        return self.run(sys.executable, "-m", "flows", *arguments, check=check)

    def set_params(self, old: str, new: str) -> None:
        """Edit params.yaml."""
        file = self.root / "params.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))


@contextmanager
def ending_children_on_failure() -> Generator[None]:
    """What the block started is killed if the block fails: a test that hung leaves it, and its worker would wait."""
    before = set(psutil.Process().children(recursive=True))
    try:
        yield
    except BaseException:
        for child in set(psutil.Process().children(recursive=True)) - before:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with ending_children_on_failure():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    with ending_children_on_failure():
        return (yield)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins at the root of this checkout, wherever the one before (or DVC, which moves) has ended."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def first_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace that every test's own is a copy of: to fill one takes six processes."""
    workspace = Workspace(tmp_path_factory.mktemp("first") / "small")
    workspace.fill()
    return workspace


@pytest.fixture
def workspace(first_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A small workspace of its own."""
    shutil.copytree(first_workspace.root, tmp_path / "small")
    return Workspace(tmp_path / "small")
