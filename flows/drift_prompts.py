"""Which prompts stand for a domain when a few-step model is compared with its teacher, and which real images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.data.buckets import Bucket
    from components.data.latents import LatentStore
    from components.data.prompts import Prompt

    Buckets = Mapping[Bucket, LatentStore]
    Part = tuple[LatentStore, NDArray[np.int64]]

GENERAL = "general"
"""The domain of the held-out images of pre-training, asked for in their short captions."""
SHORT = "short"


@dataclass(frozen=True)
class DomainPrompt:
    """A prompt, the domain that it stands for, and the store that has its token states."""

    domain: str
    prompt: "Prompt"
    store: "LatentStore"


def domain_parts(curated: "Buckets", domain_of: Mapping[str, str], general: "Buckets") -> "dict[str, list[Part]]":
    """Of each domain the rows that may be asked for, bucket by bucket, held-out ones before those trained on.

    ValueError names a domain of which no image is encoded, or says that pre-training held out none.
    """
    import numpy as np

    from components.data.top_down.training_rows import heldout_split

    if reserved := {GENERAL, "all"} & {*domain_of.values()}:
        raise ValueError(f"curate_sft names a domain {min(reserved)!r}, which stands for others here; rename it")
    found: dict[str, list[Part]] = {}
    for domain in sorted({*domain_of.values()}):
        held = [(store, store.rows_of(heldout_split(domain))) for store in curated.values()]
        trained = [(store, _trained_on(store, domain, domain_of)) for store in curated.values()]
        found[domain] = [part for part in (*held, *trained) if part[1].size]
    splits = [(store, np.array(store.rows.column("split").to_pylist(), dtype=str)) for store in general.values()]
    is_held = [(store, np.flatnonzero(np.char.startswith(split, "heldout"))) for store, split in splits]
    found[GENERAL] = [part for part in is_held if part[1].size]
    if empty := [domain for domain, parts in found.items() if not parts]:
        raise ValueError(
            f"domain {empty[0]!r} has no prompt to measure it by: none of its images is encoded"
            + (" and held out; hold some out in sample" if empty[0] == GENERAL else "; see curate_sft's report of gaps")
        )
    return found


def domain_prompts(domain: str, parts: "Sequence[Part]", at_most: int, seed: int) -> list[DomainPrompt]:
    """At most `at_most` prompts, each text once, spread over styles, categories and kinds of caption.

    Every image is asked for once, held-out ones first, before one is asked for in a second way.
    """
    from components.data.prompts import choose_prompts

    chosen: dict[str, DomainPrompt] = {}
    for turn in range(max(len(_kinds(store)) for store, _ in parts)):
        for store, rows in parts:
            for prompt in choose_prompts(_candidates(store, rows, turn), at_most, seed):
                chosen.setdefault(prompt.text, DomainPrompt(domain, prompt, store))
    if not chosen:
        raise ValueError(f"domain {domain!r} has no prompt to measure it by: its images have no captions")
    return list(chosen.values())[:at_most]


def _trained_on(store: "LatentStore", domain: str, domain_of: Mapping[str, str]) -> "NDArray[np.int64]":
    import numpy as np

    is_own = [domain_of.get(name) == domain for name in store.rows.column("sample_id").to_pylist()]
    return np.flatnonzero(np.array(is_own, dtype=bool) & (store.probabilities > 0))


def _kinds(store: "LatentStore") -> list[str]:
    return [SHORT] if SHORT in store.captions else list(store.captions)


def _candidates(store: "LatentStore", rows: "NDArray[np.int64]", turn: int) -> "list[Prompt]":
    """A prompt for each of `rows`, in a kind of caption that differs from row to row and from turn to turn."""
    from components.data.prompts import Prompt

    found: list[Prompt] = []
    for number, row in enumerate(store.rows.take(rows).to_pylist()):
        texts = [int(store.captions[kind][rows[number]]) for kind in _kinds(store)]
        texts = [text for text in texts if text >= 0]
        if turn < len(texts):
            text = texts[(number + turn) % len(texts)]
            told = {name: row[name] for name in ("sample_id", "split", "style", "category", "concept")}
            found.append(Prompt(**told, text=str(store.prompts[text]), text_number=text))
    return found
