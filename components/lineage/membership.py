"""Which samples are in which set: one compressed bitmap a set, over the numbers that the catalogue gives to samples.

A bitmap lies as `ROOT.roaring` in a folder, named by the set's Merkle root, in the portable Roaring format. It holds
the same bytes however often it is written.

Source: Lemire et al. 2018, arXiv:1709.07821 (Roaring); format: github.com/RoaringBitmap/RoaringFormatSpec.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from pyroaring import BitMap

_MOST_OPEN = 512


def keep(folder: Path, root: str, rows: "np.ndarray[Any, Any]") -> None:
    """Write the bitmap of the set with that root; it is whole as soon as its name exists."""
    from pyroaring import BitMap

    bitmap = BitMap(rows)
    bitmap.run_optimize()
    beside = folder / f".{root}.new"
    beside.write_bytes(bitmap.serialize())
    beside.replace(folder / f"{root}.roaring")


class Membership:
    """The bitmaps of a folder; those last asked for stay in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bitmap = lru_cache(_MOST_OPEN)(self._read)

    def members(self, root: str) -> "BitMap":
        """The numbers of the set's samples.

        Raises:
            OSError: there is no such bitmap.
        """
        return self._bitmap(root)

    def is_member(self, root: str, row: int) -> bool:
        """Whether the sample with that number is in the set."""
        return row in self.members(root)

    def _read(self, root: str) -> "BitMap":
        from pyroaring import BitMap

        return BitMap.deserialize((self._folder / f"{root}.roaring").read_bytes())
