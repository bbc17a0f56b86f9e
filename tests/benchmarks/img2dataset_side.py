"""img2dataset's resize path on local files; runs in img2dataset's own environment and imports nothing of ours.

Processes share the files as its distributor shares shards, and each resizes what it read, as its downloader does.
"""

import io
import json
import sys
import time
from multiprocessing import get_context
from pathlib import Path


def resize(names, view_px):
    from img2dataset.resizer import Resizer

    started = time.process_time()
    resizer = Resizer(image_size=view_px, resize_mode="keep_ratio_largest", resize_only_if_bigger=True)
    for name in names:
        *_, error = resizer(io.BytesIO(Path(name).read_bytes()))
        if error:
            raise RuntimeError(f"{name}: {error}")
    return time.process_time() - started


def main():
    folder, num_processes, view_px = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    names = [str(file) for file in sorted(folder.iterdir())]
    shares = [names[rank::num_processes] for rank in range(num_processes)]
    with get_context("spawn").Pool(num_processes) as pool:
        pool.starmap(resize, [(share[:8], view_px) for share in shares], chunksize=1)
        started = time.perf_counter()
        used = pool.starmap(resize, [(share, view_px) for share in shares], chunksize=1)
        seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu_seconds": sum(used)}) + "\n")


if __name__ == "__main__":
    main()
