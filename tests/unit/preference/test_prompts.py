import numpy as np
import pytest

from components.preference.config import PairRules
from components.preference.prompts import normalised, refuse_evaluation_prompts, split_of


def rules(heldout_prompt_frac: float = 0.25, seed: int = 1) -> PairRules:
    return PairRules(0.0, None, 1, "none", heldout_prompt_frac, seed)


@pytest.mark.parametrize("other", ["A  red Fox\n", "a red fox", "Ａ ＲＥＤ ＦＯＸ", "\ta red\u3000fox"])
def test_a_prompt_is_one_prompt_however_it_is_spelled(other: str) -> None:
    assert normalised(other) == normalised("A red fox")
    assert all(split_of(other, rules(seed=seed)) == split_of("A red fox", rules(seed=seed)) for seed in range(20))
    assert refuse_evaluation_prompts(["a blue fox", other, "a red foxes"], ["A Red FOX"]).tolist() == [0, 1, 0]


def test_the_share_of_prompts_held_out_is_the_one_asked_for_and_the_seed_chooses_others() -> None:
    prompts = [f"prompt {k}" for k in range(4000)]
    first, second = (np.array([split_of(p, rules(0.2, seed)) == "heldout" for p in prompts]) for seed in (1, 2))
    deviation = np.sqrt(0.2 * 0.8 / 4000)
    assert first.mean() == pytest.approx(0.2, abs=4 * deviation)
    assert (first & second).mean() == pytest.approx(0.04, abs=4 * deviation)  # independent of each other


def test_a_larger_share_holds_out_more_of_the_same_and_moves_nothing() -> None:
    prompts = [f"prompt {k}" for k in range(300)]
    small, large = ({p for p in prompts if split_of(p, rules(frac)) == "heldout"} for frac in (0.1, 0.3))
    assert small < large


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"min_margin": -1.0}, "margins"),
        ({"min_margin": float("nan")}, "margins"),
        ({"max_margin": 0.5, "min_margin": 0.5}, "margins"),
        ({"pairs_per_prompt": 0}, "pairs_per_prompt"),
        ({"heldout_prompt_frac": 0.0}, "heldout_prompt_frac"),
        ({"heldout_prompt_frac": 1.0}, "heldout_prompt_frac"),
    ],
)
def test_rules_that_make_no_pairs_are_refused(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PairRules(**{**vars(rules()), **wrong})
