"""The ledger's signed head in a second place, a file or a git tag, so that nobody can cut or rewrite the log unseen.

A tag `ledger/SIZE` names a blob that is the head's canonical JSON: `git push origin ledger/SIZE` brings it elsewhere.
"""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.lineage.log import Head

TAGS = "ledger/"


def export_to_file(head: "Head", file: Path) -> None:
    """Write the head's canonical JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(head.data)


def export_to_tag(root: Path, head: "Head") -> str:
    """Name the head in the git repository at `root`, and return the tag; nothing happens if it is named already.

    Raises:
        LedgerError: git fails, or the tag names another head: two histories of one ledger.
    """
    from components.lineage.errors import LedgerError

    tag = f"{TAGS}{head.size:012d}"
    blob = _git(root, "hash-object", "-w", "--stdin", data=head.data).decode().strip()
    known = _git(root, "for-each-ref", "--format=%(objectname)", f"refs/tags/{tag}").decode().strip()
    if not known:
        _git(root, "tag", "--no-sign", tag, blob)  # else git may ask for a message, and wait for it
    elif read_head(root, tag).root != head.root:
        raise LedgerError(f"tag {tag}: names a head with another root; the ledger's history is not the one it was")
    return tag


def read_head(root: Path, place: str) -> "Head":
    """The head that was exported to a file or a tag.

    Raises:
        LedgerError: there is neither, or it is no head.
    """
    from components.lineage.errors import LedgerError
    from components.lineage.log import Head

    if Path(place).is_file():
        return Head.read(Path(place).read_bytes(), place)
    if not _git(root, "for-each-ref", f"refs/tags/{place}"):
        raise LedgerError(f"{place}: neither a file nor a git tag; `easel lineage head --export FILE` writes one")
    return Head.read(_git(root, "cat-file", "blob", f"refs/tags/{place}"), f"tag {place}")


def _git(root: Path, *arguments: str, data: bytes = b"") -> bytes:
    from components.lineage.errors import LedgerError

    try:
        done = subprocess.run(["git", *arguments], cwd=root, input=data, capture_output=True, check=False)
    except OSError as error:
        raise LedgerError(f"git cannot be run: {error}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"code {done.returncode}"]
        raise LedgerError(f"git {arguments[0]}: {lines[-1]}")
    return done.stdout
