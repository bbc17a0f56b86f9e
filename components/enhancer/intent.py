"""What a description lost of the wish that it was made from: things, counts, colours, negations, quoted text.

By fixed rules and for any text, in English and in Chinese. Counts, colours and negations belong to the word that they
stand with: "a green apple and a red pear" does not keep "a red apple". A description may add what it likes, except
that it must not contradict: another count or colour for the same thing is a loss of the wish's.
"""

from components.data.captions import Language
from components.enhancer.intent_en import lost_in_english
from components.enhancer.intent_zh import lost_in_chinese
from components.enhancer.quotes import quoted_in, without_quoted

LOST = {"en": lost_in_english, "zh": lost_in_chinese}


def lost(wish: str, description: str, language: Language) -> list[str]:
    """What `description` lost of `wish`, each as its kind and words ("count: two apples"); empty if nothing.

    Kinds are text, negation, count, colour and thing. `language` is the wish's; words of the other script are names in
    it, and are kept letter by letter or lost.
    """
    said = quoted_in(description)
    texts = [f"text: “{words}”" for words in dict.fromkeys(quoted_in(wish)) if words not in said]
    # Words that were wished for without quotation marks may come to stand in them.
    told = "\n".join([without_quoted(description), *said])
    return [*texts, *LOST[language](without_quoted(wish), told)]
