"""The receipt of a passed check, which the next stage depends on, and the reference: the summaries last accepted.

A receipt holds no times, so equal tables are equal files. The reference is a file in the repository, `{}` until a
version was accepted: what a later version may drift from is a commit, and not a state of this machine.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.data.errors import DataError
from components.quality.outcome import Outcome


def write_receipt(file: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the verdict, and every expectation with what was observed."""
    suites: dict[str, list[dict[str, str]]] = {}
    for one in outcomes:
        entry = {"expectation": one.expectation, "observed": one.observed, "allowed": one.allowed}
        suites.setdefault(one.suite, []).append(entry)
    content = {"verdict": "passed", "suites": suites}
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_reference(file: Path, part: str) -> Mapping[str, Any] | None:
    """The accepted summary of `part`, None if nothing was accepted yet; DataError if the file is no such thing."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{file}: not readable as JSON ({error}); write {{}} there for no reference") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: holds a {type(content).__name__}; write {{}} there for no reference")
    return content.get(part)


def write_reference(file: Path, summaries: Mapping[str, Any]) -> None:
    """Make these summaries (part to summary) what later versions are compared with."""
    file.write_text(json.dumps(_rounded(summaries), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.9g}") if isinstance(value, float) else value
