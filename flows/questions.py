"""What the evaluation asks of models: held-out prompts, words to spell; and who looks at what they draw."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flows.judges import LETTERING_SIDE_PX, load_judge

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2
    from torch import Tensor

    from components.data.latents import LatentStore
    from components.data.prompts import Prompt
    from components.evaluation.costs import Cost
    from components.evaluation.enhanced import Scored
    from components.evaluation.lettering import Reader
    from components.evaluation.measuring import Eyes
    from components.evaluation.suite import Images, Model, Question
    from components.preference.judges import Scores
    from flows.enhanced_drawings import Encode
    from flows.stages.evaluate import Params


def open_judges(p: "Params", store: "LatentStore", images: Path, classifier: Path, aes: Path, px: int) -> "Eyes":
    """The judges, made of training images, and the Aes model."""
    from components.data.prompts import choose_prompts
    from components.evaluation.examination import open_eyes
    from components.evaluation.held_out import TRAIN, read_prompts, read_squares
    from components.evaluation.measuring import Looks
    from components.evaluation.remembered import Remembered
    from components.models.aes_model import PROXY, load_aes

    reference = choose_prompts(read_prompts(store, p.caption_kind)[TRAIN], p.num_reference_images, p.seed)
    reference_u8 = read_squares(images, reference, px, p.limits)
    model = load_aes(aes)
    looks = Looks(Remembered(model.scores), PROXY if model.facts["is_proxy"] else "Aes", model.description)
    return open_eyes(store, reference, reference_u8, classifier, p.retrieval, p.num_axes, p.seed, looks)


def ask(
    p: "Params", store: "LatentStore", decoder: "AutoencoderKLFlux2", images: Path, encode: "Encode", px: int
) -> "list[Question]":
    """A question of each held-out split, and one that asks for words if `num_text_prompts` is above 0."""
    from components.data.prompts import choose_prompts
    from components.evaluation.held_out import HELD_OUT, read_prompts, read_squares, states_of
    from components.evaluation.lettering import letter_prompts
    from components.evaluation.suite import make_question

    candidates, shape = read_prompts(store, p.caption_kind), store.latents.shape[1:]
    questions: list[Question] = []
    for split in HELD_OUT:
        prompts = choose_prompts(candidates[split], p.num_prompts, p.seed)
        texts = [states_of(store, prompt.text_number) for prompt in prompts]
        real_u8 = read_squares(images, prompts, px, p.limits)
        noises = (p.sampling.batch_size, p.drawings_per_prompt, p.seed)
        questions.append(make_question(decoder, prompts, texts, shape, real_u8, *noises))
    if p.num_text_prompts:
        prompts, real_u8, words = letter_prompts(p.num_text_prompts, p.lettering, px, p.seed)
        texts, noises = encode([prompt.text for prompt in prompts]), (p.sampling.batch_size, 1, p.seed)
        questions.append(make_question(decoder, prompts, texts, shape, real_u8, *noises, words))
    return questions


def preference_judge(classifier: Path, scorer: Path, weights: Mapping[str, float], eyes: "Eyes") -> "Scored":
    """The judges of preferences as one, told style and category of each prompt, and the words that it quotes."""
    from components.data.top_down.facts import quoted_in
    from components.preference.judges import Asked, SharedFeatures

    judge = load_judge(classifier, scorer, weights, SharedFeatures(eyes.see))

    def scored(images_u8: "Images", prompts: "Sequence[Prompt]") -> "Scores":
        return judge(images_u8, [Asked(p.text, p.category, p.style, " ".join(quoted_in(p.text))) for p in prompts])

    return scored


def text_reader() -> "Reader":
    """Reads all lines of writing in a picture, from top to bottom, as one text; every picture once."""
    import numpy as np

    from components.models.text_recognition import TextReader

    reader = TextReader(LETTERING_SIDE_PX)

    @cache
    def read(pixels: bytes, shape: tuple[int, ...]) -> str:
        image_u8 = np.frombuffer(pixels, np.uint8).reshape(shape)
        return " ".join(line.text for line in reader.read(image_u8))

    return lambda image_u8: read(image_u8.tobytes(), image_u8.shape)


def costs_of(models: "Mapping[str, Model]", questions: "Sequence[Question]", empty: "Tensor") -> "list[Cost]":
    """What an image of each model costs, on average over all prompts that it was asked."""
    from components.evaluation.costs import cost_of

    num_image_tokens = questions[0].noise[0, 0, 0].numel()
    return [
        cost_of(name, model, [len(text) for one in questions for text in one.told(model)], len(empty), num_image_tokens)
        for name, model in models.items()
    ]
