"""The opt-out list of a workspace: names are added to it, and params.yaml and the recipes name its new content.

Parameter files are edited as text, so that every comment stays; what the edit changed is checked by reading it again.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from components.data.opt_out import OptOut, digest, read_list
from flows.lineage.takedown_matches import TakedownError
from flows.parameters import PARAMS_FILE, read_blocks
from flows.reports import write_durably

BLOCK, KEY = "filter_images", "opt_out"
DEFAULT = "infra/opt-out.txt"
_LINE = re.compile(rf"(?m)^  {KEY}:(?P<value>[^#\n]*?)(?P<rest>[ \t]*(?:#[^\n]*)?)$(?P<below>(?:\n {{4,}}[^\n]*)*)")


@dataclass(frozen=True)
class List:
    """Where the list lies, relative to the workspace, and what it holds."""

    path: str
    held: OptOut

    def salted(self, value: str) -> str:
        """How the list, and every receipt, names `value`; an address that cannot be taken apart as it is written."""
        try:
            return digest(self.held.salt, value)
        except ValueError:  # as `http://[`: a row of the data may say so, and must not stop a takedown
            return hashlib.sha256(f"{self.held.salt}\0{value}".encode()).hexdigest()


def current_list(root: Path) -> List:
    """The list that params.yaml names; where it names none, the one at the usual place, made in memory if need be.

    Raises:
        TakedownError: the list is not what params.yaml pins, or params.yaml does not ask for it.
    """
    block = read_blocks(root / PARAMS_FILE).get(BLOCK, {})
    enabled = block.get("filters", {}).get("enabled")
    if enabled is not None and "opted_out" not in enabled:
        raise TakedownError(f"{PARAMS_FILE}: {BLOCK}.filters.enabled lacks opted_out, so no list is heeded; add it")
    pinned = block.get(KEY)
    path = str(pinned["path"]) if pinned else DEFAULT
    file = root / path
    if not file.is_file():
        if pinned:
            raise TakedownError(f"{path}: not there, but {PARAMS_FILE} names it; bring it back (git checkout {path})")
        return List(path, OptOut(secrets.token_hex(16), frozenset()))
    return List(path, read_list(file))


def add_names(root: Path, known: List, values: Iterable[str]) -> str:
    """Add `values` (sample ids and addresses) to the list and pin it in params.yaml and the recipes; its SHA-256.

    The list is written whole, before what names it; running this again changes nothing.
    """
    digests = known.held.digests | {known.salted(value) for value in values}
    text = "\n".join([f"easel opt-out {known.held.salt}", *sorted(digests)]) + "\n"
    file = root / known.path
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_durably(file, text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    for parameters in (root / PARAMS_FILE, *sorted((root / "infra" / "recipes").glob("*.yaml"))):
        pin_list(parameters, known.path, sha256)
    return sha256


def pin_list(file: Path, path: str, sha256: str) -> bool:
    """Have a parameter file name the list with this content; False where it has no such block or names another list.

    Raises:
        TakedownError: the line cannot be found or edited safely; names the line to write by hand.
    """
    blocks = read_blocks(file) if file.is_file() else {}
    if not isinstance(block := blocks.get(BLOCK), dict) or KEY not in block:
        return False
    now = cast(dict[str, Any], block)[KEY]
    wanted = {"path": path, "sha256": sha256}
    if now == wanted or (now is not None and now.get("path") != path):
        return now == wanted
    text = file.read_text(encoding="utf-8")
    start = re.search(rf"(?m)^{BLOCK}:.*$", text)
    place = _LINE.search(text, start.end()) if start else None
    line = f"  {KEY}: {{path: {path}, sha256: {sha256}}}"
    edited = text if place is None else text[: place.start()] + line + (place["rest"] or "") + text[place.end() :]
    block[KEY] = wanted
    if _parsed(edited) != blocks:
        raise TakedownError(f"{file}: cannot be edited safely; write below {BLOCK}:{line}")
    write_durably(file, edited)
    return True


def _parsed(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None
