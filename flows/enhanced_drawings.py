"""The prompt enhancer in the evaluation: it rewrites the held-out prompts, and models draw what it wrote as well."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from components.evaluation.report import Rewritten
    from components.evaluation.suite import Model, Question

    Encode = Callable[[Sequence[str]], Sequence[torch.Tensor]]


@dataclass(frozen=True)
class Told:
    """Who draws and what is asked, with the enhancer too, and what that made of each prompt; nothing without one."""

    models: "Mapping[str, Model]"
    questions: "Sequence[Question]"
    rewritten: "Mapping[str, Rewritten]"


def tell(
    models: "Mapping[str, Model]",
    questions: "Sequence[Question]",
    enhancer: Path | None,
    px: int,
    num_prompts: int,
    seed: int,
    encode: "Encode",
) -> Told:
    """Have the enhancer, if any, rewrite the first prompts of each question, and every model draw that too."""
    from components.evaluation.enhanced import in_other_words, with_enhancer

    if enhancer is None:
        return Told(models, questions, {})
    prompts = [prompt.text for question in questions for prompt in question.prompts[:num_prompts]]
    rewritten = rewrite(prompts, enhancer, px, seed)
    asked = [in_other_words(question, rewritten, encode) for question in questions]
    return Told(with_enhancer(models), asked, rewritten)


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
