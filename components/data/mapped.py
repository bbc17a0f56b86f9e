"""Arrays of a safetensors file where they lie: pages come from the disk as they are read, and go when memory is short.

So a file may be larger than the memory.
"""

import json
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from components.data.errors import DataError

_TYPES = {"F16": np.float16, "I64": np.int64}


def mapped_arrays(file: Path, wanted: Mapping[str, tuple[str, int]]) -> dict[str, NDArray[Any]]:
    """The arrays of `file` named in `wanted`, which says the type (F16, I64) and the number of dimensions; read-only.

    DataError if the file is missing, cut short or otherwise damaged, or an array is not there or not of its kind.
    """
    try:
        with safe_open(file, "numpy"):  # checks that the header is sound and the file as long as it says
            pass
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header: dict[str, Any] = json.loads(stream.read(length))
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise DataError(f"{file}: missing; run `encode` again") from None
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file}: damaged or cut short ({error}); run `encode` again") from error
    found: dict[str, NDArray[Any]] = {}
    for name, (kind, num_dims) in wanted.items():
        entry = header.get(name, {"dtype": "nothing", "shape": []})
        if (entry["dtype"], len(entry["shape"])) != (kind, num_dims):
            raise DataError(
                f"{file}: {name} is {entry['dtype']} {entry['shape']}, not {kind} of {num_dims} dimensions; "
                "run `encode` again"
            )
        found[name] = np.ndarray(entry["shape"], _TYPES[kind], data, 8 + length + entry["data_offsets"][0])
    return found
