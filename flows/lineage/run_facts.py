"""The facts around a stage: which code, which environment, which machine, which people. Each is observed, never given.

None of it decides what is made; it says, in a record, how that came about. Heavy libraries are not imported for it:
their versions are read off the installation, the processors off the system.
"""

import getpass
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from components.lineage.canonical import canonical, digest, plain
from components.registry.hashes import file_sha256
from flows import settings
from flows.lineage.settings import asked_by, cluster_job, container_image
from flows.parameters import PARAMS_FILE
from flows.workspace import git

LOCK_FILE = "requirements.lock"
HELD_ELSEWHERE = (PARAMS_FILE, "dvc.lock", "data.dvc")
"""Files whose content a record holds by itself: that they differ from the commit makes the code no other."""
TORCH_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG")


@dataclass(frozen=True)
class Code:
    """The code that a stage's process could reach, and the patch that makes it from the commit ("" if clean).

    `facts` is what the record says. `edited` names files that are no longer those that DVC saw.
    """

    facts: dict[str, Any]
    patch: bytes
    edited: tuple[str, ...]


def code_facts(root: Path, command: str, modules: dict[str, str]) -> Code:
    """What `command` ran: `modules` are the stage's code files with the MD5 that DVC gave each."""
    hashes = {path: file_sha256(root / path) for path in sorted(modules) if (root / path).is_file()}
    edited = tuple(path for path, md5 in modules.items() if path not in hashes or _md5(root / path) != md5)
    patch = dirty_patch(root, modules)
    facts = {
        "repository": remote_address(root),
        "commit": git(root, "rev-parse", "HEAD"),
        "tree": digest(hashes),
        "modules": hashes,
        "is_dirty": bool(patch),
        "patch": hashlib.sha256(patch).hexdigest() if patch else "",
        "entry_point": command,
    }
    return Code(facts, patch, edited)


def dirty_patch(root: Path, modules: Iterable[str]) -> bytes:
    """What `git apply` needs to make the code as it is out of the commit: edits, and new files among `modules`.

    Empty where the code is the commit's, or there is no git.
    """
    others = [f":!{name}" for name in HELD_ELSEWHERE]
    patch = _raw_git(root, "diff", "--binary", "--no-color", "--no-ext-diff", "HEAD", "--", ".", *others)
    new = git(root, "ls-files", "--others", "-z", "--", *modules) if modules else ""
    for name in filter(None, new.split("\0")):
        patch += _raw_git(root, "diff", "--binary", "--no-color", "--no-ext-diff", "--no-index", "/dev/null", name)
    return patch


def remote_address(root: Path) -> str:
    """Where the repository comes from, without any name or password in the address; "" if from nowhere."""
    address = git(root, "remote", "get-url", "origin")
    if "://" not in address:
        return address
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def environment_facts(root: Path) -> dict[str, Any]:
    """The interpreter, the packages and the platform; `packages` is the digest of what `package_list` gives."""
    lock = root / LOCK_FILE
    return {
        "lock": file_sha256(lock) if lock.is_file() else "",
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": platform.platform(),
        "packages": hashlib.sha256(package_list()).hexdigest(),
        "torch": _version("torch"),
        **({"image": image} if (image := container_image()) else {}),
    }


@cache
def package_list() -> bytes:
    """Every installed distribution and its version, as canonical JSON."""
    found = {one.metadata["Name"].lower(): one.version for one in metadata.distributions()}
    return canonical(found)


def place_facts(root: Path, profile: str, backend: str, variables: dict[str, str]) -> dict[str, Any]:
    """Who runs the stages and on what: executor, host, processors, profile, processes."""
    place = settings.load_profile(root, profile)
    return {
        "backend": backend,
        "host": socket.gethostname(),
        "job": cluster_job(),
        "profile": profile,
        "execution": plain(asdict(place.execution)),
        "world_size": place.execution.world_size,
        "threads": place.threads,
        "variables": {name: variables[name] for name in TORCH_VARIABLES if name in variables},
        **hardware(),
    }


@cache
def hardware() -> dict[str, Any]:
    """The processors and the memory of this machine."""
    gpus = _gpus()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpu = {"cpu": _cpu_model(), "cpu_count": os.cpu_count() or 0, "memory_bytes": memory}
    driver = gpus[0][1] if gpus else ""
    return cpu | {"gpus": [name for name, _ in gpus], "gpu_count": len(gpus), "gpu_driver": driver}


def people_facts() -> dict[str, str]:
    """Who asked for a run, and under which account it ran."""
    account = f"{login()}@{socket.gethostname()}"
    return {"asked_by": asked_by() or login(), "service": account}


def login() -> str:
    """The account of this process, as the system tells it; its number where it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())


def _gpus() -> list[tuple[str, str]]:
    """Name and driver of each GPU that the system's own tool lists."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    pairs = [line.split(",") for line in done.stdout.splitlines() if "," in line]
    return [(name.strip(), driver.strip()) for name, driver, *_ in pairs]


def _raw_git(root: Path, *arguments: str) -> bytes:
    """Output of git as it is: a patch ends with a newline, and `--no-index` leaves with 1 where files differ."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False).stdout
    except OSError:
        return b""


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
