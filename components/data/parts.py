"""Where long lists of images are cut into parts, so that a change of the list changes few of them.

A cut stands after an id whose hash ends in certain bits, wherever it stands in the list. An image that comes or goes
thus changes its own part and no other, as in rsync or a backup that stores each block once.
Source: Muthitacharoen et al. 2001, A low-bandwidth network file system, doi:10.1145/502034.502052, section 3.1.
"""

import hashlib
from collections.abc import Sequence

MAX_OVER_MEAN = 4


def cut_parts(ids: Sequence[str], mean_rows: int) -> list[range]:
    """Rows of each part, in order: `mean_rows` on average and at most four times as many.

    ValueError if `mean_rows` is not positive.
    """
    if mean_rows < 1:
        raise ValueError(f"mean_rows is {mean_rows}; allowed: 1 or more")
    parts: list[range] = []
    start = 0
    for row, sample_id in enumerate(ids, start=1):
        is_cut = int.from_bytes(hashlib.sha256(sample_id.encode()).digest()[:8]) % mean_rows == 0
        if is_cut or row - start == MAX_OVER_MEAN * mean_rows or row == len(ids):
            parts.append(range(start, row))
            start = row
    return parts
