import numpy as np
import torch

from components.data.prompts import Prompt
from components.evaluation.comparison import Metric
from components.evaluation.suite import Question
from components.evaluation.worst import worst_of_categories


def question(split: str, categories: str) -> Question:
    prompts = [Prompt("", split, "", name, "", f"{split} {i}", i) for i, name in enumerate(categories)]
    black = np.zeros((len(prompts), 2, 2, 3), np.uint8)
    return Question(
        split, prompts, [torch.zeros(1, 2)] * len(prompts), torch.zeros(1, len(prompts), 1, 1, 1), black, black
    )


def test_the_worst_of_each_category_is_found_over_all_questions() -> None:
    questions = [question("cell", "bab"), question("concept", "ab")]
    scores = {"base": [0.5, 0.1, 0.4, 0.3, 0.2], "sft": [0.0, 0.9, 0.4, 0.8, 0.7]}
    readings = {name: np.array(values)[:, None] for name, values in scores.items()}
    everything = readings["base"]
    metric = Metric("k", "n", "similarity", "", lambda rows: float(rows.mean()), readings, everything, everything)
    drawn = {
        name: {
            "cell": np.stack([np.full((2, 2, 3), 10 * model + i, np.uint8) for i in range(3)]),
            "concept": np.stack([np.full((2, 2, 3), 10 * model + i, np.uint8) for i in (3, 4)]),
        }
        for model, name in enumerate(scores)
    }
    found = worst_of_categories(metric, questions, drawn)
    assert [(one.category, one.num_prompts) for one in found] == [("a", 2), ("b", 3)]
    told = {
        (one.category, model): (worst.score, worst.prompt, int(worst.image_u8[0, 0, 0]))
        for one in found
        for model, worst in one.models.items()
    }
    assert told == {
        ("a", "base"): (0.1, "cell 1", 1),
        ("a", "sft"): (0.8, "concept 0", 13),
        ("b", "base"): (0.2, "concept 1", 4),
        ("b", "sft"): (0.0, "cell 0", 10),
    }
    for one in found:
        for worst in one.models.values():
            assert worst.low <= worst.mean <= worst.high
    assert found[1].models["sft"].mean == np.mean([0.0, 0.4, 0.7])
