"""When two batches are the same to a network, and the batch that parts of one make."""

from itertools import pairwise

import numpy as np
import torch

from components.models.denoiser import pad_states
from components.paths.noise import normal_noise
from components.training.batches import Batch


def assert_same(one: Batch, other: Batch) -> None:
    """Everything the network could see, bit by bit (texts may be padded further)."""
    assert (one.bucket, one.sample_ids, one.start) == (other.bucket, other.sample_ids, other.start)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.texts, other.texts)
    assert torch.equal(one.x_0, other.x_0)
    assert torch.equal(one.condition.lengths, other.condition.lengths)
    assert torch.equal(one.condition.states, other.condition.states)
    assert torch.equal(normal_noise(one.x_0, one.generators), normal_noise(other.x_0, other.generators))


def joined(parts: list[Batch]) -> Batch:
    """The batch that parts in the order of their positions make."""
    parts = sorted(parts, key=lambda part: part.start)
    assert all(one.start + len(one.rows) == other.start for one, other in pairwise(parts))
    states = [text[:length] for part in parts for text, length in zip(*vars(part.condition).values(), strict=True)]
    return Batch(
        x_0=torch.cat([part.x_0 for part in parts]),
        condition=pad_states(states),
        rows=np.concatenate([part.rows for part in parts]),
        texts=np.concatenate([part.texts for part in parts]),
        start=parts[0].start,
        generators=[one for part in parts for one in part.generators],
        sample_ids=sum((part.sample_ids for part in parts), ()),
        bucket=parts[0].bucket,
    )
