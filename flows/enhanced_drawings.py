"""The prompt enhancer in the evaluation: it rewrites the held-out prompts, and models draw what it wrote as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.data.latents import LatentStore
    from components.data.prompts import Prompt
    from components.evaluation.enhanced import Scored
    from components.evaluation.judging import Judges
    from components.evaluation.report import EnhancerGrid, Rewritten
    from components.evaluation.suite import Drawn, Images, Model, Question
    from components.preference.judges import Judge

WITH_ENHANCER = ("dpo", "turbo")
"""The models that are drawn with the prompt enhancer too: those that are exported."""


@dataclass(frozen=True)
class Told:
    """Who draws and what is asked, with the enhancer too, and what that made of each prompt; nothing without one."""

    models: "Mapping[str, Model]"
    questions: "Sequence[Question]"
    rewritten: "Mapping[str, Rewritten]"


def tell(
    models: "Mapping[str, Model]",
    questions: "Sequence[Question]",
    enhancer: Path,
    px: int,
    num_prompts: int,
    seed: int,
) -> Told:
    """Have the enhancer rewrite the first prompts of each split, and the models of `WITH_ENHANCER` draw that too."""
    from components.evaluation.enhanced import in_other_words, with_enhancer
    from components.models.text_encoder import TextEncoder

    prompts = [prompt.text for question in questions for prompt in question.prompts[:num_prompts]]
    rewritten = rewrite(prompts, enhancer, px, seed)
    encode = TextEncoder.load()
    asked = [in_other_words(question, rewritten, encode) for question in questions]
    return Told(with_enhancer(models, WITH_ENHANCER), asked, rewritten)


def rewrite(prompts: Sequence[str], enhancer: Path, px: int, seed: int) -> "dict[str, Rewritten]":
    """Each prompt as the enhancer puts it, for a square picture; itself where that is refused, or it is no wish."""
    from components.enhancer.decoding import Writer
    from components.enhancer.many import enhance_many
    from components.enhancer.wish import WishError, clean_wish
    from components.evaluation.report import Rewritten

    rewritten: dict[str, Rewritten] = {}
    wishes: list[str] = []
    for prompt in dict.fromkeys(prompts):
        try:
            clean_wish(prompt)
            wishes.append(prompt)
        except WishError as error:
            rewritten[prompt] = Rewritten(prompt, prompt, False, str(error))
    found = enhance_many(wishes, px, px, Writer.load(enhancer).write_many, seed)
    for wish, one in zip(wishes, found, strict=True):
        text = one.text if one.was_enhanced else wish
        rewritten[wish] = Rewritten(wish, text, one.was_enhanced, one.reason)
    return rewritten


def grid_of(
    told: Told,
    judges: "Judges",
    store: "LatentStore",
    rounds: "Sequence[Drawn]",
    prefer: "Scored",
    weights: Mapping[str, float],
    num_examples: int,
) -> "EnhancerGrid":
    """The models with the enhancer beside those without; letters are read where their judge has a weight."""
    from components.evaluation.enhanced import enhancer_grid

    read = read_letters() if weights.get("lettering", 0) > 0 else None
    return enhancer_grid(judges, store, told.questions, rounds, told.rewritten, prefer, read, num_examples)


def read_letters() -> "Scored":
    """How many of the words that a prompt quotes can be read in each image."""
    from components.models.text_recognition import TextReader
    from components.preference.judges import LetteringJudge
    from flows.judges import LETTERING_SIDE_PX

    return as_asked(LetteringJudge(TextReader(LETTERING_SIDE_PX).read))


def as_asked(judge: "Judge") -> "Scored":
    """A judge of preferences that is told style and category of each prompt, and the words that it quotes."""
    from components.data.top_down.facts import quoted_in
    from components.preference.judges import Asked

    def scored(images_u8: "Images", prompts: "Sequence[Prompt]") -> Any:
        return judge(images_u8, [Asked(p.text, p.category, p.style, " ".join(quoted_in(p.text))) for p in prompts])

    return scored
