"""The captions of a whole table of samples: every captioner's, with a fallback, and what was refused."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.data.captioners.interface import Captioner, Made, Reason, Sample
from components.data.captioners.metadata import MetadataCaptioner
from components.data.captions import Caption, Language, Words
from components.data.records import CAPTION_COLUMNS, CAPTIONS, CATALOGUE, CATEGORIES, columns_of, open_table, strings

NAMELESS = "nameless/1"
SAMPLES = columns_of(CATALOGUE, "sample_id", *CAPTION_COLUMNS, "style", "lettering", "shard", "row")
PLACES = columns_of(CATEGORIES, "sample_id", "category", "label_source")
"""What captions need of the catalogue and of the categories."""
_SLICE_IMAGES = 2048


@dataclass
class Tally:
    """What captioners did: `fallback_images` were captioned by words because no captioner could.

    Of `nameless_images` nothing at all is known.
    """

    captions: int = 0
    uncaptioned_images: int = 0
    fallback_images: int = 0
    nameless_images: int = 0
    refused: Counter[Reason] = field(default_factory=Counter[Reason])
    prompt_tokens: int = 0
    completion_tokens: int = 0


def write_captions(
    file: Path,
    slices: Iterable[Sequence[Sample]],
    captioners: Sequence[Captioner],
    languages: Sequence[Language],
    nameless: str | None = None,
) -> Tally:
    """Write `caption_table` of all `slices`, one after the other, so that memory does not grow with their number."""
    tally = Tally()
    with open_table(file, CAPTIONS) as write:
        for samples in slices:
            write(caption_table(samples, captioners, languages, tally, nameless))
    return tally


def sample_slices(
    catalogue: pa.Table,
    categories: pa.Table,
    visible_texts: Mapping[str, str],
    load: Callable[[Sequence[str]], pa.Table] | None,
    languages: Sequence[Language],
) -> Generator[list[Sample]]:
    """`samples_of` runs of rows of `catalogue`, with the images that `load` gives, if it is given."""
    for start in range(0, catalogue.num_rows, _SLICE_IMAGES):
        rows, places = (table.slice(start, _SLICE_IMAGES) for table in (catalogue, categories))
        ids = rows.column("sample_id").to_pylist()
        images = load(ids).column("bytes").to_pylist() if load else [b""] * len(ids)
        yield samples_of(rows, places, visible_texts, dict(zip(ids, images, strict=True)), languages)


def samples_of(
    catalogue: pa.Table,
    categories: pa.Table,
    visible_texts: Mapping[str, str],
    images: Mapping[str, bytes],
    languages: Sequence[Language],
) -> list[Sample]:
    """What captioners get of each row of `catalogue`; a category that only numbers a cluster says nothing of it."""
    if not languages:
        raise ValueError("languages is empty; allowed: one or more of en, zh")
    known = np.where(strings(categories, "label_source") != "cluster", strings(categories, "category"), "").tolist()
    names = ["sample_id", "description_en", *(f"{kind}_{lang}" for kind in ("title", "tags") for lang in languages)]
    rows = zip(catalogue.select(names).to_pylist(), strings(catalogue, "style").tolist(), known, strict=True)
    return [
        Sample(
            sample_id=row["sample_id"],
            image=images.get(row["sample_id"], b""),
            words={
                language: Words(
                    title=row[f"title_{language}"] or "",
                    tags=row[f"tags_{language}"] or [],
                    description=(row["description_en"] or "") if language == "en" else "",
                    style=style,
                    category=category,
                    visible_text=visible_texts.get(row["sample_id"], ""),
                )
                for language in languages
            },
        )
        for row, style, category in rows
    ]


def caption_table(
    samples: Sequence[Sample],
    captioners: Sequence[Captioner],
    languages: Sequence[Language],
    tally: Tally,
    nameless: str | None = None,
) -> pa.Table:
    """Captions (`CAPTIONS`) of `samples` by each of `captioners` in turn; what happened is added to `tally`.

    A sample that none of them captioned in the first language is captioned by its words alone, if it has any, and if
    not it is called `nameless`, which says no more than that it is an image; None leaves it without a caption.
    """
    of_sample: list[list[dict[str, str]]] = [[] for _ in samples]
    for captioner in captioners:
        _add(of_sample, range(len(samples)), captioner.maker, samples, captioner.caption(samples), tally)
    words = MetadataCaptioner(languages)
    if all(captioner.maker != words.maker for captioner in captioners):
        bare = [k for k, rows in enumerate(of_sample) if not _has(rows, languages[0])]
        _add(of_sample, bare, words.maker, samples, words.caption([samples[k] for k in bare]), tally)
        tally.fallback_images += sum(_has(of_sample[k], languages[0]) for k in bare)
    if nameless is not None:
        bare = [k for k, rows in enumerate(of_sample) if not _has(rows, languages[0])]
        made = [Made([Caption("short", languages[0], nameless)], [])] * len(bare)
        _add(of_sample, bare, NAMELESS, samples, made, tally)
        tally.nameless_images += len(bare)
    tally.uncaptioned_images += sum(not _has(rows, languages[0]) for rows in of_sample)
    tally.captions += sum(len(rows) for rows in of_sample if _has(rows, languages[0]))
    captioned = [row for rows in of_sample if _has(rows, languages[0]) for row in rows]
    return pa.Table.from_pylist(captioned, schema=CAPTIONS)


def _add(
    of_sample: list[list[dict[str, str]]],
    numbers: Sequence[int],
    maker: str,
    samples: Sequence[Sample],
    made: Sequence[Made],
    tally: Tally,
) -> None:
    for number, one in zip(numbers, made, strict=True):
        sample_id = samples[number].sample_id
        of_sample[number] += [{"sample_id": sample_id, **vars(caption), "maker": maker} for caption in one.captions]
        tally.refused.update(one.refused)
        tally.prompt_tokens += one.prompt_tokens
        tally.completion_tokens += one.completion_tokens


def _has(rows: Sequence[Mapping[str, str]], language: Language) -> bool:
    return any(row["language"] == language for row in rows)
