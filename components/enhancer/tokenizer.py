"""The tokenizer of the language model: byte-level BPE, trained on the pairs, in which a word has one spelling.

A word is to be copied from the wish into the description, so its tokens must not depend on where it stands: after a
quotation mark, say, it gets a joiner and a space, which decoding takes out again, and every Chinese character stands
for itself. Source: Sennrich et al. 2016, arXiv:1508.07909 (BPE); Radford et al. 2019 (bytes as its alphabet).
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from components.enhancer.template import BOS, EOS, MARKS, PADDING, UNKNOWN, chat_template

JOINER = "\x1f"
"""Says that the space after it is none. JSON writes this character as an escape, so no wish contains it."""

_BEFORE_WORDS = "\"'“‘「(（[-/"
"""After these a word often has no space."""
_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
_WORD = rf"[\p{{L}}\p{{M}}\p{{N}}&&[^{_CJK}]]"
_FRAME = ('{"prompt": "', '", "width":', ', "height":')
"""Parts of a message that are the same in all, and which quotation marks in a wish, being escaped, do not spell."""


def _joined(text: str) -> str:
    """As the normaliser writes it."""
    return re.sub(f"([{re.escape(_BEFORE_WORDS)}])", rf"\1{JOINER} ", text)


_FIXED = "|".join(re.escape(_joined(part).rstrip()) for part in _FRAME)
_PIECES = rf"{_FIXED}| ?{_WORD}+|[{_CJK}]|{JOINER}| ?[^\s\p{{L}}\p{{M}}\p{{N}}{JOINER}]|\s+"


class TokenizerError(ValueError):
    """A tokenizer that is missing or cannot be used; one line says where and what to do."""


def train_tokenizer(texts: Iterable[str], vocab_size: int, max_new_tokens: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `vocab_size` tokens (bytes and control tokens included) that knows the chat template.

    `max_new_tokens` is kept as its `model_max_length`, which diffusers takes for the longest answer. The same texts in
    the same order give the same tokenizer. ValueError if the size cannot hold bytes and control tokens.
    """
    smallest = 256 + len(MARKS)
    if vocab_size < smallest:
        raise ValueError(f"vocab_size must be at least {smallest} (bytes and control tokens), got {vocab_size}")
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), *(normalizers.Replace(mark, f"{mark}{JOINER} ") for mark in _BEFORE_WORDS)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(f"{JOINER} ", "")])
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[AddedToken(mark, special=True, normalized=False) for mark in MARKS],
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        extra_special_tokens=[mark for mark in MARKS if mark.startswith("[")],
        model_max_length=max_new_tokens,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        chat_template=chat_template(),
    )


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The tokenizer saved in `directory`; TokenizerError if there is none, or none with a chat template."""
    from transformers import AutoTokenizer

    if not (directory / "tokenizer.json").is_file():
        raise TokenizerError(f"{directory}: no tokenizer.json; name a folder that the stage `enhancer` made")
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    if tokenizer.chat_template is None:
        raise TokenizerError(f"{directory}: its tokenizer has no chat template; add chat_template.jinja")
    return tokenizer


def ids_of(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of `text`, in which control tokens count as such; nothing is added."""
    found: Any = tokenizer(text, add_special_tokens=False, verbose=False)
    return found["input_ids"]


def special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The numbers of begin, end and padding, under the names that a model's configuration has for them."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    found: dict[str, Any] = {name: getattr(tokenizer, name) for name in names}
    return {name: int(value) for name, value in found.items()}
