"""Next token: how unlikely the network finds the tokens that are to be said.

The mean is over the answers' tokens of the whole step, not of a micro-batch: parts of a step with more of them weigh
more, so that neither accumulation nor the number of processes changes what is minimised.
"""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from components.objectives.outcome import Outcome


def next_token(
    logits: Float[Tensor, "answers vocabulary"], said: Int[Tensor, " answers"], tokens_per_part: float
) -> Outcome:
    """Summed cross-entropy of a part of a step over `tokens_per_part`, the mean count of answer tokens of its parts.

    The mean of the parts' losses is then the step's mean cross-entropy, in nats.
    """
    return Outcome({"next_token": functional.cross_entropy(logits, said, reduction="sum") / tokens_per_part})
