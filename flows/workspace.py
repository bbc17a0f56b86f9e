"""The git side of a workspace: which commit a run starts from, and whether files differ from it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GitState:
    """The commit that the working tree stands on; `is_dirty` when tracked files differ from it."""

    commit: str
    is_dirty: bool

    @property
    def tags(self) -> dict[str, str]:
        """For a tracking run, under the names that MLflow's UI knows."""
        return {"mlflow.source.git.commit": self.commit, "easel.git_dirty": str(self.is_dirty).lower()}


def git(root: Path, *arguments: str) -> str:
    """Output of one git command at `root`, stripped; empty when git or the repository is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def git_state(root: Path) -> GitState:
    """Where git stands at `root`; the commit is empty outside a repository.

    dvc.lock is left out: a run itself writes it.
    """
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    return GitState(commit=git(root, "rev-parse", "HEAD"), is_dirty=bool(changed))
