"""The judges of pictures as the stages have them: which files they are made of, how they share what they see.

None is a person; `components.preference.judges` says what each can know.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.preference.judges import Judge, SharedFeatures, WeightedJudge

LETTERING_SIDE_PX = 256


def shared_features(classifier: Path) -> "SharedFeatures":
    """Features as the classifiers in that folder were fitted on, computed once for all judges."""
    from components.evaluation.judging import features_of
    from components.models.image_features import ImageFeatures
    from components.models.linear_probe import load_probe
    from components.preference.judges import SharedFeatures

    facts = load_probe(classifier, "style")[1]
    network = ImageFeatures(facts["px"], facts["precision"])  # pyright: ignore[reportArgumentType] - as it was saved
    return SharedFeatures(lambda images_u8: features_of(network, images_u8))


def load_judge(
    classifier: Path, scorer: Path | None, weights: Mapping[str, float], features: "SharedFeatures | None" = None
) -> "WeightedJudge":
    """The judges with a weight above 0, as one; the aesthetic proxy needs its `scorer`."""
    from components.models.linear_probe import load_probe
    from components.models.text_recognition import TextReader
    from components.preference.judges import AestheticProxyJudge, AlignmentJudge, LetteringJudge, WeightedJudge

    seen = features or shared_features(classifier)
    judges: list[Judge] = []
    if weights.get("alignment", 0) > 0:
        judges.append(AlignmentJudge(load_probe(classifier, "style")[0], load_probe(classifier, "category")[0], seen))
    if scorer is not None and weights.get("aesthetic_proxy", 0) > 0:
        judges.append(AestheticProxyJudge(load_probe(scorer, "aesthetic")[0], seen))
    if weights.get("lettering", 0) > 0:
        judges.append(LetteringJudge(TextReader(LETTERING_SIDE_PX).read))
    return WeightedJudge(judges, {judge.name: weights[judge.name] for judge in judges})
