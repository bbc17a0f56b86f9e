"""Taking versions of a model out of use: every alias goes from them, and `champion` by a decision that is kept.

Bytes and numbers of the versions stay: who has to answer for a model can still look at it.
"""

from collections.abc import Collection

from mlflow.tracking import MlflowClient

from components.registry.decisions import Decision
from components.registry.promotion import CHAMPION, carry_out, settle
from components.registry.registration import DIGEST_TAG

WITHDRAWN_TAG = "easel.withdrawn"


def live_aliases(uri: str, name: str, numbers: Collection[int]) -> list[str]:
    """The aliases that point to any of these versions now."""
    aliases = MlflowClient(uri).get_registered_model(name).aliases
    return sorted(alias for alias, number in aliases.items() if int(number) in numbers)


def withdraw(uri: str, name: str, numbers: Collection[int], *, reason: str, by: str, at: str) -> Decision | None:
    """Take every alias from these versions of `name`, and mark them; the decision, if one of them was champion.

    Doing it again changes nothing, so a killed withdrawal is done again.

    Raises:
        PromotionError: another process decided meanwhile.
    """
    client, standing, decision = MlflowClient(uri), settle(uri, name, at), None
    if standing.champion is not None and standing.champion in numbers:
        digest = client.get_model_version(name, str(standing.champion)).tags.get(DIGEST_TAG, "")
        decision = Decision(standing.next_number, "withdraw", None, standing.champion, digest, reason, by, at)
        carry_out(uri, name, decision)
    for alias in live_aliases(uri, name, numbers):
        if alias != CHAMPION:
            client.delete_registered_model_alias(name, alias)
    for number in sorted(numbers):
        client.set_model_version_tag(name, str(number), WITHDRAWN_TAG, f"{at}, by {by}: {reason}")
    return decision
