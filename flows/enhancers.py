"""What the stage `enhancer` is made of: its pairs in tokens, its network before and after, what it leaves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.models.config import DirectoryWeights, LoraShape

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Ministral3ForCausalLM, PreTrainedTokenizerBase

    from components.enhancer.examples import Example, Pair
    from components.models.language_model import LanguageModel, TokenRows
    from components.training.language_training import RowSource
    from flows.stages.enhancer import Params


@dataclass(frozen=True)
class Data:
    """The pairs as they are trained on and as they are asked."""

    tokenizer: "PreTrainedTokenizerBase"
    learned: "Sequence[Example]"
    source: "RowSource"
    asked: "Sequence[Pair]"
    asked_examples: "Sequence[Example]"
    held_out: "TokenRows"

    def examples_until(self, num_rows: int) -> int:
        """Examples in the first rows of training."""
        return sum(len(row.split()) for step in self.source.sample_ids(0, num_rows) for row in step)

    def ngram_perplexity(self) -> float:
        """Of a trigram that has read all that is trained on, on the held-out answers."""
        from components.enhancer.ngram import Trigram

        model = Trigram((example.question + example.answer for example in self.learned), len(self.tokenizer))
        return model.perplexity((example.question, example.answer) for example in self.asked_examples)


def read(pairs: Path, p: "Params") -> Data:
    """The table of wishes in tokens; ValueError where nothing of it is to be trained on, or nothing is held out."""
    from components.data import records
    from components.data.splits import SPLITS, TRAIN
    from components.enhancer.examples import Pair, examples_of, packed
    from components.enhancer.renaming import renamed
    from components.enhancer.wishes import WISHES
    from components.training.language_training import RowSource

    rows = records.read_table(pairs, WISHES).to_pylist()
    own = [row for row in rows if row["split"] == SPLITS[TRAIN]]
    others = [row for row in rows if row["split"] != SPLITS[TRAIN]]
    if not own or not others:
        raise ValueError(f"{pairs}: {len(own)} wishes to train on and {len(others)} held out; ask `wishes` for more")
    of = [Pair(row["wish"], row["width"], row["height"], row["description"]) for row in own]
    trained_on = renamed(of, p.renamed_frac, p.training.seed)
    tokenizer = tokenizer_of(p, trained_on)
    learned = examples_of(tokenizer, trained_on)
    filled, places = packed(tokenizer, learned, p.training.max_tokens)
    names = [" ".join(own[number]["wish_id"] for number in place) for place in places]
    chosen = [others[round(at)] for at in _evenly(len(others), p.num_held_out)]
    asked = [Pair(row["wish"], row["width"], row["height"], row["description"]) for row in chosen]
    asked_examples = examples_of(tokenizer, asked)
    held_out, _ = packed(tokenizer, asked_examples, p.training.max_tokens)
    source = RowSource(filled, names, p.training.batch_size, seed=p.training.seed)
    return Data(tokenizer, learned, source, asked, asked_examples, held_out)


def _evenly(count: int, wanted: int) -> list[float]:
    few = min(count, wanted)
    return [(at + 0.5) * count / few - 0.5 for at in range(few)]


def tokenizer_of(p: "Params", pairs: "Sequence[Pair]") -> "PreTrainedTokenizerBase":
    """The tokenizer that comes with the first weights, or one trained on the pairs."""
    from components.enhancer.template import PREFIX, chat_template
    from components.enhancer.tokenizer import load_tokenizer, train_tokenizer

    if p.model is not None:
        texts = (text for pair in pairs for text in (PREFIX, pair.message, pair.description))
        return train_tokenizer(texts, p.model.vocab_size, p.max_new_tokens)
    tokenizer = load_tokenizer(checked(p.init))
    tokenizer.chat_template, tokenizer.model_max_length = chat_template(), p.max_new_tokens
    return tokenizer


def start(p: "Params", tokenizer: "PreTrainedTokenizerBase") -> "LanguageModel":
    """The network before its first step; with adapters to train, if there is a `lora`."""
    import torch

    from components.enhancer.tokenizer import special_ids
    from components.models import language_model as models
    from components.models.copying_start import start_copying

    if p.model is not None:
        network = models.build_language_model(p.model, p.training.seed, special=special_ids(tokenizer))
        if p.starts_copying:
            start_copying(network, torch.Generator().manual_seed(p.training.seed))
    else:
        network = models.load_language_model(checked(p.init))
    if p.training.lora is not None:
        with torch.random.fork_rng():
            torch.manual_seed(p.training.seed)
            models.add_adapters(network, p.training.lora)
    return models.LanguageModel(network.train())


def checked(init: DirectoryWeights | None) -> Path:
    """The folder with the first weights; ValueError if there is none, or it is not the one that was pinned."""
    from components.models.language_model import directory_sha256

    if init is None:
        raise ValueError("enhancer: give `model`, for a new network, or `init`, a folder with one; both are null")
    directory = Path(init.directory)
    found = directory_sha256(directory)
    if found != init.sha256:
        raise ValueError(f"{directory}: its SHA-256 is {found}, not {init.sha256}; pin the one you mean")
    return directory


def finished(
    network: "LanguageModel", weights: "Mapping[str, Tensor]", lora: LoraShape | None
) -> "Ministral3ForCausalLM":
    """The trained network alone."""
    from components.models.language_model import network_like

    return network_like(network.network, weights, lora)


def save(
    directory: Path,
    network: "Ministral3ForCausalLM",
    tokenizer: "PreTrainedTokenizerBase",
    p: "Params",
    consumed: Mapping[str, Any],
    held_out: Mapping[str, float],
) -> None:
    """Write the folders of the release and `training.json`; the same weights make the same bytes."""
    from components.enhancer.decoding import MODEL, TOKENIZER
    from components.models.language_model import save_language_model

    save_language_model(network, directory / MODEL)
    tokenizer.save_pretrained(directory / TOKENIZER)
    facts = {**p.model_dump(mode="json"), "consumed": dict(consumed), "held_out": dict(held_out)}
    text = json.dumps(facts, indent=2, sort_keys=True) + "\n"
    (directory / "training.json").write_text(text, encoding="utf-8")
