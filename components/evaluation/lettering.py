"""Words that models are asked to draw, and how much of them a reader finds in the drawings.

The words are not among those of the training images with words on them, so to spell one a model must know letters, and
not only signs that it saw. They are counted and compared by the formulas of LongText-Bench and OneIG-Bench, which
`components.evaluation.benchmarks.letters` has, and stand beside what the same reader finds in the same words set in
type: letters of a few pixels are hard for it too.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
from jaxtyping import UInt8

from components.data.prompts import Prompt
from components.data.top_down.config import Layout, Lettering
from components.data.top_down.fonts import find_fonts
from components.data.top_down.lettering import Specification, colour_pairs, draw
from components.data.top_down.lettering_tables import captions_table
from components.evaluation.benchmarks.letters import compare, edit_share, readings, word_accuracy
from components.evaluation.comparison import Metric, Readings
from components.evaluation.suite import LETTERING, Drawn, Question

WORDS = (
    *("TULIPS", "SUNRISE", "MARBLE", "Cake Room", "Old Bridge", "CIRCUS", "Harbour", "HARVEST", "Piano Bar", "BARGAIN"),
    *("Red Fox", "GALLERY", "Lemon Cake", "STUDIO", "Steam Engine", "ORCHARD", "Quick Lunch", "ISLAND", "TAXI"),
    *("Paper Boat", "Smoked Fish", "AUTUMN", "Corner Pub", "VIOLIN", "Deep Snow", "ROCKET", "Small Zoo", "CASTLE"),
    *("JUNGLE", "Silver Key", "MAGIC", "Brick Lane", "PLANET", "Cold Drinks", "LANTERN", "Wild Goose", "YES"),
)
LAYOUTS: tuple[Layout, ...] = ("sign", "label", "notice")  # those of one line, in straight letters
THREADS = 2
Reader = Callable[[UInt8[np.ndarray, "h w 3"]], str]
"""Everything that can be read in a picture, from top to bottom."""


def letter_prompts(
    number: int, lettering: Lettering, px: int, seed: int
) -> tuple[list[Prompt], UInt8[np.ndarray, "n px px 3"], list[str]]:
    """Prompts that quote words, the same set in type on `px` by `px` pixels, and the words; English only.

    Seeded. ValueError for more than there are words.
    """
    if number > len(WORDS):
        raise ValueError(f"num_text_prompts is {number}; allowed: 0 to {len(WORDS)}, the words that there are")
    rng = np.random.default_rng(seed)
    fonts = {font.name: font for font in find_fonts(lettering.fonts)}
    pairs = colour_pairs(lettering.min_contrast)
    words = [WORDS[place] for place in rng.permutation(len(WORDS))[:number]]
    specifications: list[Specification] = []
    for place, word in enumerate(words):
        font, (ink, paper) = list(fonts)[rng.integers(len(fonts))], pairs[rng.integers(len(pairs))]
        specifications.append(Specification(LAYOUTS[place % len(LAYOUTS)], (word,), ("en",), (font,), ink, paper))
    rows = captions_table(words, specifications).to_pylist()
    texts = [row["text"] for row in rows if (row["kind"], row["language"]) == ("short", "en")]
    prompts = [Prompt("", LETTERING, "lettering", "text", "", text, -1) for text in texts]
    return prompts, np.stack([draw(one, fonts, px) for one in specifications]), words


def letters_read(read: Reader, question: Question, drawn: Drawn, names: Sequence[str]) -> list[Metric]:
    """Word accuracy and edit distance of what is read; chance reads the words set in type for another prompt."""
    images = {name: drawn[name][question.split] for name in names}
    with ThreadPoolExecutor(THREADS) as threads:
        texts = list(threads.map(read, chain(*images.values(), question.real_u8)))
    parts = [texts[start : start + len(question.words)] for start in range(0, len(texts), len(question.words))]
    real = parts.pop()
    found = {name: _compared(question.words, part) for name, part in zip(images, parts, strict=True)}
    own, others = _compared(question.words, real), _compared(question.words, [*real[-1:], *real[:-1]])
    return [
        Metric(
            "word_accuracy",
            "words that can be read",
            "share",
            "of the words that a prompt quotes, the share that a reader finds in the image",
            word_accuracy,
            found,
            own,
            others,
        ),
        Metric(
            "edit_distance",
            "edits to the words read",
            "distance",
            "letters to change from the words asked for to those read, over the longer of the two; 0 is as asked",
            edit_share,
            found,
            own,
            others,
        ),
    ]


def _compared(asked: Sequence[str], read: Sequence[str]) -> Readings:
    return readings([[compare(words, text, "en", keep_case=False)] for words, text in zip(asked, read, strict=True)])
