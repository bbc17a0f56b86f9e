"""Ten million samples in a ledger: how fast one is found, how large index, tree and proofs are, and how much memory."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import Figure, at_least, at_most, in_child, peak_mb

NUM_SAMPLES = 10_000_000
NUM_TRAININGS = 8
NUM_LOOKUPS, NUM_PROOFS = 20_000, 2
MOST_BYTES = 1000
TIMES = {"started_at": "2026-11-23T12:00:00.000Z", "ended_at": "2026-11-23T12:00:01.000Z"}


def measure(folder: Path) -> list[Figure]:
    ids = samples()
    packed = folder / "packed"
    packed.write_bytes(ids.tobytes())
    root = in_child(merkle_root, packed)
    sets = in_child(fill, folder / "ledger", packed)
    built = in_child(build, folder / "ledger", folder / "index.duckdb")
    asked = in_child(lookups, folder / "ledger", folder / "index.duckdb", packed)
    proofs = in_child(proof_sizes, packed)
    catalogue = next((folder / "index").glob("catalogue-*")).stat().st_size
    bitmaps = sum(file.stat().st_size for file in (folder / "index" / "sets").iterdir())
    seconds = np.array(asked.value)
    present, absent = proofs.value
    shutil.rmtree(folder / "ledger")
    return [
        Figure("samples, and sets of them in the ledger", sets.value, "sets"),
        at_least("Merkle root of all of them", NUM_SAMPLES / root.value[0] / 1e6, "M leaves/s", 1),
        Figure("Merkle root of all of them: time of all cores", root.value[1] / NUM_SAMPLES * 1e6, "s a million"),
        Figure("Merkle root of all of them: memory beside the members", root.value[2], "MB"),
        Figure("index built from nothing: time", built.seconds, "s"),
        at_most("index built from nothing: peak memory", built.peak_mb, "MB", 1500),
        at_most("catalogue", catalogue / NUM_SAMPLES, "bytes a sample", 50),
        Figure("bitmaps of all sets together", bitmaps / NUM_SAMPLES, "bytes a sample"),
        Figure("who saw a sample, warm: median", float(np.median(seconds)) * 1e3, "ms"),
        at_most("who saw a sample, warm: p99", float(np.quantile(seconds, 0.99)) * 1e3, "ms", 50),
        Figure("who saw a sample, warm: worst", float(seconds.max()) * 1e3, "ms"),
        at_most("proof of presence: largest of those made", max(present), "bytes", MOST_BYTES),
        at_most("proof of absence: largest of those made", max(absent), "bytes", MOST_BYTES),
        at_most("proof of either: largest over all places", largest_proof(NUM_SAMPLES), "bytes", MOST_BYTES),
        Figure("a proof made, by hashing the whole set", proofs.seconds / (2 * NUM_PROOFS), "s"),
    ]


def samples(seed: int = 0) -> np.ndarray:
    """Sorted random digests."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**64, (NUM_SAMPLES, 4), dtype=np.uint64)
    words[:, 0].sort()
    words[:, 0].byteswap(inplace=True)
    return words


def merkle_root(packed: Path) -> tuple[float, float, float]:
    """Seconds that it takes, seconds of all processes together, and by how many MB the peak of memory rises."""
    from components.lineage.manifest import root_of

    data = packed.read_bytes()
    before, started, held = os.times(), time.perf_counter(), peak_mb()
    root_of(data)
    seconds, after = time.perf_counter() - started, os.times()
    return seconds, sum(after[:4]) - sum(before[:4]), peak_mb() - held


def subsets(packed: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Stage, role and packed members: everything received, then halves that trainings were offered and parts drawn."""
    rows = np.frombuffer(packed, "S32")
    yield "ingest", "received", packed
    rng = np.random.default_rng(1)
    for number in range(NUM_TRAININGS):
        offered = rows[rng.random(len(rows)) < 0.1]
        yield f"train_{number}", "offered", offered.tobytes()
        yield f"train_{number}", "drawn", offered[rng.random(len(offered)) < 0.7].tobytes()


def fill(ledger: Path, packed: Path) -> int:
    """Records of an ingest and of trainings, in a signed ledger; how many sets they name."""
    from components.lineage.keys import make_key
    from components.lineage.log import Ledger
    from components.lineage.manifest import WIDTH, root_of
    from components.lineage.record import Record, Samples, SampleSet
    from components.lineage.store import FolderStore

    log = Ledger(FolderStore(ledger), make_key(ledger.with_suffix(".pem")))
    by_stage: dict[str, list[SampleSet]] = {}
    for stage, role, members in subsets(packed.read_bytes()):
        one = SampleSet(role=role, root=root_of(members), count=len(members) // WIDTH)
        by_stage.setdefault(stage, []).append(one)
        log.store.create(f"sets/{one.root}", members)
    for stage, sets in by_stage.items():
        log.append(Record(kind="stage", subject=stage, samples=Samples(sets=tuple(sets)), **TIMES))
    return sum(map(len, by_stage.values()))


def opened(ledger: Path, file: Path):
    from components.lineage.index import Index
    from components.lineage.log import Ledger
    from components.lineage.store import FolderStore

    return Index(Ledger(FolderStore(ledger)), file)


def build(ledger: Path, file: Path) -> int:
    return opened(ledger, file).num_samples


def lookups(ledger: Path, file: Path, packed: Path) -> list[float]:
    """Seconds of each question, of samples and as many strangers, after some that are not counted."""
    from flows.lineage.samples_seen import Answers

    answers = Answers(file.parent, opened(ledger, file))
    rng = np.random.default_rng(2)
    known = np.memmap(packed, np.uint8, "r").reshape(-1, 32)
    half = NUM_LOOKUPS // 2
    asked = [known[row].tobytes().hex() for row in rng.integers(0, NUM_SAMPLES, half)]
    asked = [one for pair in zip(asked, (os.urandom(32).hex() for _ in range(half)), strict=True) for one in pair]
    taken = []
    for one in asked:
        started = time.perf_counter()
        found = answers.seen(one)
        taken.append(time.perf_counter() - started)
        assert found.sample_id == one
    return taken[len(taken) // 20 :]


def proof_sizes(packed: Path) -> tuple[list[int], list[int]]:
    """Bytes of proofs of presence and of absence, each of which is checked."""
    from components.lineage.manifest import check, prove, root_of

    data = packed.read_bytes()
    root, rng = root_of(data), np.random.default_rng(3)
    present = [data[32 * row : 32 * row + 32].hex() for row in rng.integers(0, NUM_SAMPLES, NUM_PROOFS).tolist()]
    proofs = [prove(data, one) for one in (*present, *(rng.bytes(32).hex() for _ in range(NUM_PROOFS)))]
    assert all(check(proof, root) for proof in proofs)
    sizes = [proof.num_bytes for proof in proofs]
    return sizes[:NUM_PROOFS], sizes[NUM_PROOFS:]


def largest_proof(size: int) -> int:
    """Bytes of the longest proof about a set: the deepest path in a tree of a leaf more, a leaf, and two numbers."""
    return 32 * size.bit_length() + 64 + 16
