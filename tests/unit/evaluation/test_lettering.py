from dataclasses import replace

import numpy as np
import pytest
import torch

from components.data.top_down.config import FontChoice, Lettering
from components.data.top_down.words import WRITINGS
from components.evaluation.enhanced import rewritten_part
from components.evaluation.lettering import WORDS, letter_prompts, letters_read
from components.evaluation.suite import LETTERING, Question

FONT = FontChoice("DejaVuSans-Bold.ttf", 0, None, True)
SET = Lettering(128, ("poster",), 4.5, (FONT,), ())


def test_the_words_are_none_of_those_that_training_shows() -> None:
    shown = {word.casefold() for english, _ in WRITINGS for word in english.split()}
    assert not shown & {word.casefold() for word in " ".join(WORDS).split()}
    assert len(set(WORDS)) == len(WORDS)


def test_prompts_quote_their_words_and_the_same_are_set_in_type() -> None:
    prompts, images_u8, words = letter_prompts(len(WORDS), SET, 64, 0)
    assert sorted(words) == sorted(WORDS)
    assert images_u8.shape == (len(WORDS), 64, 64, 3)
    for prompt, word in zip(prompts, words, strict=True):
        assert (prompt.split, f"“{word}”" in prompt.text) == (LETTERING, True)
    again = letter_prompts(len(WORDS), SET, 64, 0)
    assert again[0] == prompts
    np.testing.assert_array_equal(again[1], images_u8)
    assert letter_prompts(3, SET, 64, 1)[2] != words[:3]
    with pytest.raises(ValueError, match=f"num_text_prompts is 99; allowed: 0 to {len(WORDS)}"):
        letter_prompts(99, SET, 64, 0)


@pytest.fixture
def question() -> Question:
    """The real image of prompt i has level i, and so on."""
    prompts, _, _ = letter_prompts(4, SET, 32, 0)
    levels = np.tile(np.arange(4, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))
    texts = [torch.zeros(2, 3)] * 4
    words = ["MAGIC", "Tea Room", "SALE", "Wild Goose"]
    return Question(LETTERING, prompts, texts, torch.zeros(1, 4, 1, 1, 1), levels, levels, words)


def test_accuracy_counts_words_and_edits_count_letters(question: Question) -> None:
    readable = [*question.words, "magic", "tea rom", "", "Wild - Goose!"]

    def read(image_u8: np.ndarray) -> str:
        return readable[int(image_u8[0, 0, 0])]

    drawn = {"base": {LETTERING: question.real_u8}, "sft": {LETTERING: question.real_u8 + 4}}
    accuracy, edits = letters_read(read, question, drawn, ["base", "sft"])
    found = {name: accuracy.statistic(values) for name, values in accuracy.generated.items()}
    assert found == pytest.approx({"base": 1, "sft": 4 / 6})  # magic, tea, goose and wild of six words
    distance = {name: edits.statistic(values) for name, values in edits.generated.items()}
    # Of "tea room" one letter of 8 is lost, nothing was read for SALE, and signs and case do not count.
    assert distance["base"] == 0
    assert distance["sft"] == pytest.approx((0 + 1 / 8 + 1 + 0) / 4)
    assert (accuracy.statistic(accuracy.real), accuracy.statistic(accuracy.chance)) == (1, 0)
    assert (edits.statistic(edits.real), edits.unit) == (0, "distance")


def test_a_part_of_the_question_is_read_as_well(question: Question) -> None:
    part = rewritten_part(replace(question, enhanced=question.texts[:2]))
    drawn = {"base": {LETTERING: part.real_u8}}
    metrics = letters_read(lambda image_u8: "nothing", part, drawn, ["base"])
    assert [(metric.key, len(metric.real)) for metric in metrics] == [("word_accuracy", 2), ("edit_distance", 2)]
    assert metrics[0].statistic(metrics[0].real) == 0
