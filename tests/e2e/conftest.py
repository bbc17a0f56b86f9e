"""A copy of this checkout in which commands run from the built wheel, outside this repository.

The editable install would hide what the wheel lacks.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def installed_wheel(folder: Path) -> Path:
    """The interpreter of an environment that has this checkout's wheel, and the third parties of ours."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True, capture_output=True, timeout=300)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=300)
    [site] = (folder / "env").glob("lib/python*/site-packages")
    zipfile.ZipFile(next(folder.glob("easel-*.whl"))).extractall(site)
    # A path in a .pth file is searched, but .pth files in it are not: so our editable install is not seen there.
    (site / "third-parties.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env" / "bin" / "python"


class Clone:
    """A copy of this checkout's files (tracked, or new and not ignored), as a clone would have them."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root, self.python = root, python

    def fill(self) -> None:
        """Bring the files of this checkout and commit them."""
        root = self.root
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
        self.run("git", "init", "--quiet")
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "clone")

    @property
    def environment(self) -> dict[str, str]:
        # Safe path: the working folder holds the same packages and must not come before the installed ones.
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PYTHONSAFEPATH": "1", "PATH": path}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        how = {"cwd": self.root, "env": self.environment, "capture_output": True, "text": True, "timeout": 1200}
        done = subprocess.run(command, **how)
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def easel(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.python), "-m", "flows", *arguments, check=check)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(self.python), "-m", "flows", *arguments]
        return subprocess.Popen(command, cwd=self.root, env=self.environment, stdout=subprocess.DEVNULL)

    def ran(self, build: int) -> list[str]:
        """The stages that ran in the build of that number, in order."""
        folders = sorted((self.root / ".easel" / "runs").iterdir())
        events = [json.loads(line) for line in (folders[build] / "events.jsonl").read_text().splitlines()]
        return [event["stage"] for event in events if event.get("state") == "done"]

    def lock(self) -> dict:
        return yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]


@pytest.fixture(scope="session")
def new_clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Clone]:
    """Makes copies that share one installed wheel, with the embedded data in place."""
    python = installed_wheel(tmp_path_factory.mktemp("wheel"))

    def make() -> Clone:
        clone = Clone(tmp_path_factory.mktemp("clone") / "easel", python)
        clone.fill()
        clone.easel("data", "pull")
        return clone

    return make


@pytest.fixture(scope="session")
def under_prefect(new_clone: Callable[[], Clone], tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, dict]:
    """A clone in which the smoke recipe was built under Prefect, and its lock right after.

    Two workers build one each, at once, and compare: who asks second for this one waits for the first.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # above it is what all workers see
    with (folder / "under-prefect.json").open("a+") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        record.seek(0)
        if not (text := record.read()):
            clone = new_clone()
            clone.easel("run", "--recipe", "smoke")
            text = json.dumps({"root": str(clone.root), "python": str(clone.python), "lock": clone.lock()})
            record.write(text)
    built = json.loads(text)
    return Clone(Path(built["root"]), Path(built["python"])), built["lock"]
