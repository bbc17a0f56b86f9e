"""Whether a file holds any of many strings of bytes, in one pass over the file however many strings there are.

Eight bytes of each string are its key, taken from where they differ most. Every eight bytes of the file, at every
offset, are held against a bit map of the keys' ends first; strings whose whole key is found are then searched for.
"""

import mmap
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

_KEY, _END, _FEW = 8, 0xFFFF, 8
_PLACES = 16


class Needles:
    """Strings of bytes to look for, each of at least 32 bytes."""

    def __init__(self, needles: Sequence[bytes]) -> None:
        keys = np.array([_key(needle) for needle in needles], np.uint64)
        order = np.argsort(keys, kind="stable")
        self._needles = [needles[place] for place in order]
        self._keys: UInt64[np.ndarray, " n"] = keys[order]
        self._is_end = np.zeros(_END + 1, bool)
        self._is_end[self._keys & _END] = True

    def are_in(self, data: bytes | mmap.mmap) -> bool:
        """Whether `data` holds any of them, as it is."""
        if len(self._needles) <= _FEW:
            return any(data.find(needle) >= 0 for needle in self._needles)
        return any(data.find(self._needles[place]) >= 0 for place in self._candidates(data))

    def _candidates(self, data: bytes | mmap.mmap) -> list[int]:
        """Places of the needles whose keys are in `data`."""
        found = set[int]()
        for offset in range(min(_KEY, len(data) - _KEY + 1)):
            words = np.frombuffer(data, "<u8", (len(data) - offset) // _KEY, offset)
            likely = np.unique(words[self._is_end[words & _END]])
            first = np.searchsorted(self._keys, likely, "left")
            last = np.searchsorted(self._keys, likely, "right")
            for start, stop in zip(first[last > first].tolist(), last[last > first].tolist(), strict=True):
                found.update(range(start, stop))
        return sorted(found)


def _key(needle: bytes) -> int:
    """The eight bytes with the most different values among some places: headers and runs of one value are many's."""
    last = len(needle) - _KEY
    windows = (needle[start : start + _KEY] for start in {last * place // _PLACES for place in range(_PLACES + 1)})
    return int.from_bytes(max(windows, key=lambda window: (len(set(window)), window)), "little")
