"""Whether a text is English or Chinese, by its letters.

Words in quotation marks are letters to be drawn and say nothing about the language around them. Names in Latin letters
are usual in Chinese (as in "Noto 风格的猫"), so Latin words count for English only as far as they outweigh the Chinese.
"""

import re
import unicodedata

from components.data.captions import Language
from components.data.top_down.vocabulary import FRAME_EN, FRAME_ZH
from components.enhancer.quotes import without_quoted

_CJK = re.compile(r"[\u3400-\u9fff]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]+(?:['’-][A-Za-z\u00c0-\u024f]+)*")
_FRAMES_ZH = re.compile("|".join(word for word in FRAME_ZH if len(word) > 1))
_MORE_FOR_FRAMES = 2  # "a", "of", "draw", "风格": words that no name brings into a sentence of the other language


def language_of(text: str) -> Language | None:
    """The language of `text`; None where it has no words, or most of its letters are of another script.

    Latin letters are taken for English whatever they spell. In a mixed text Chinese characters are weighed against
    Latin words, and function words count three times.
    """
    outside = without_quoted(text)
    return _of_letters(outside if any(char.isalpha() for char in outside) else text)


def _of_letters(text: str) -> Language | None:
    words, num_chinese = _LATIN.findall(text), len(_CJK.findall(text))
    ours = sum(map(len, words)) + num_chinese
    if not ours or _num_other_letters(text) > ours / 4:
        return None
    num_frames = sum(word.lower().replace("’", "'") in FRAME_EN for word in words)
    english = len(words) + _MORE_FOR_FRAMES * num_frames
    chinese = num_chinese + _MORE_FOR_FRAMES * len(_FRAMES_ZH.findall(text))
    return "zh" if chinese >= english else "en"


def _num_other_letters(text: str) -> int:
    rest = _CJK.sub("", _LATIN.sub("", text))
    return sum(unicodedata.category(char).startswith("L") for char in rest)
