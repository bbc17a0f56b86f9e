"""Files that a person names in the parameters, with the SHA-256 that their bytes must have."""

import hashlib
from pathlib import Path

from components.data.config import PinnedFile
from components.data.errors import DataError


def pinned_path(file: PinnedFile) -> Path:
    """Where `file` lies; DataError if it is not there, or is not the one that the parameters name."""
    try:
        found = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{file.path}: not readable ({error.strerror}); correct the path in params.yaml") from error
    if found != file.sha256:
        raise DataError(f"{file.path}: has SHA-256 {found}, not {file.sha256}; if it is meant, say so in params.yaml")
    return Path(file.path)
