"""Names and values as MLflow accepts them: an allow-list of characters, flattened parameters, bounded lengths.

MLflow accepts `file:///etc/passwd` as an artifact name, so names are checked here and never trusted to it.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

MAX_KEY_CHARS = 250
MAX_PARAM_CHARS = 6000
MAX_TAG_CHARS = 8000

_UNSAFE = re.compile(r"[^A-Za-z0-9_./ -]")
_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")


def safe_name(text: str) -> str:
    """`text` with every character that MLflow may refuse in a key replaced by `_`, at most 250 characters."""
    name = _UNSAFE.sub("_", text).strip("/. ")[:MAX_KEY_CHARS]
    return name or "_"


def checked_artifact_path(path: str) -> str:
    """`path` unchanged if its parts are made of letters, digits, `_`, `-`, `.` and space, and none starts with a dot.

    Raises:
        ValueError: for an absolute path, `..`, a scheme such as `file:`, or any other character.
    """
    parts = PurePosixPath(path).parts
    if not parts or len(path) > MAX_KEY_CHARS or not all(_SAFE_PART.fullmatch(part) for part in parts):
        raise ValueError(
            f"artifact name {path!r} is not allowed: use a relative path whose parts start with a letter, digit or _ "
            "and hold only letters, digits, _, -, . and spaces"
        )
    return path


def clipped(text: str, max_chars: int) -> str:
    """`text`, cut to `max_chars` characters with an ellipsis that says so."""
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings and dataclasses as one level of dotted keys; leaves are strings or JSON, long ones cut."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            flat[safe_name(name)] = clipped(text, MAX_PARAM_CHARS)
    return flat


def clean_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags under safe names, as text of bounded length."""
    return {safe_name(key): clipped(str(value), MAX_TAG_CHARS) for key, value in tags.items()}


def finite_only(values: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """(finite values under safe names, names of the others): MLflow refuses or distorts NaN and infinity."""
    numbers = {safe_name(key): float(value) for key, value in values.items()}
    finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
    return finite, [key for key in numbers if key not in finite]
