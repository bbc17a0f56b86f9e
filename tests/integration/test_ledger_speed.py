"""How fast a Merkle root is made: counted in the processor's seconds, since a busy machine has fewer cores for us."""

import os
import resource

from components.lineage.merkle import packed_root

NUM_LEAVES = 1_000_000
CORES = 2


def processor_s():
    """Seconds that this process and those it waited for have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def test_two_cores_hash_a_million_leaves_a_second():
    packed = os.urandom(32 * NUM_LEAVES)
    took = list[float]()
    for _ in range(3):
        before = processor_s()
        packed_root(packed, 32)
        took.append(processor_s() - before)
    assert min(took) <= CORES * NUM_LEAVES / 1e6
