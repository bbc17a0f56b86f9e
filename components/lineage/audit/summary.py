"""The public summary of training content, filled from records: general information, sources, processing.

Its fields follow the template that the European Commission gives for Article 53(1)(d) of Regulation (EU) 2024/1689,
known here at second hand (filed summaries and reviews of them), not from the legal text: field names and size bands are
to be compared with the Commission's document before anything is published. Nothing here says that a duty is met.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from components.lineage.audit.document import Cell, Figure, Line, Link, Part, Section, Table, link, recorded
from components.lineage.audit.figures import Evidence
from components.lineage.audit.ingredients import Ingredients, set_links
from components.lineage.audit.provider import Kind, Provider
from components.lineage.record import Record

TEMPLATE = "C(2025) 8311 of 5 December 2025"
MAX_DOMAINS = 1000
"""Domains listed in full; of more, the tenth with the most images (second hand, not verified legal text)."""
# Second hand, not verified legal text: the bands of filed summaries.
IMAGE_BANDS = ((10**6, "less than 1 million images"), (10**9, "1 million to 1 billion images"))
TEXT_BANDS = ((10**9, "less than 1 billion tokens"), (10**13, "1 billion to 10 trillion tokens"))
WORDS = " (by trainings that read no image; others may have drawn the same images)"
KINDS: dict[Kind, tuple[str, str]] = {
    "public": ("2.1", "Publicly available data sets"),
    "licensed": ("2.2.1", "Private data sets licensed by rights holders"),
    "private": ("2.2.2", "Private data sets of other third parties"),
    "crawled": ("2.3", "Data crawled and scraped from online sources"),
    "user": ("2.4", "User data"),
    "synthetic": ("2.5", "Synthetic data"),
    "other": ("2.6", "Other sources of data"),
}


@dataclass(frozen=True)
class Case:
    """What a document is written from."""

    ingredients: Ingredients
    evidence: Evidence
    provider: Provider

    @cached_property
    def tables(self) -> tuple[Link, ...]:
        """Links to the catalogues whose bytes are at hand."""
        return tuple(found for item, found in self.ingredients.catalogues() if self.evidence.has_table(item.sha256))

    @cached_property
    def offered(self) -> tuple[Link, ...]:
        """The sets of images that trainings could draw."""
        return set_links(self.ingredients.image_trainings, "offered")

    @cached_property
    def drawn(self) -> tuple[Link, ...]:
        """The sets of images that reached the weights."""
        return set_links(self.ingredients.image_trainings, "drawn")

    @cached_property
    def words(self) -> tuple[Link, ...]:
        """The sets of images whose words were read by a training that read no image; others may have drawn them."""
        return set_links(self.ingredients.word_trainings, "offered")


def said(label: str, value: Any) -> Line:
    """A field that only the provider can fill."""
    if value is None or value in ("", ()):
        return Line(label, "not stated")
    text = ("no", "yes")[value] if isinstance(value, bool) else ", ".join(value) if isinstance(value, tuple) else value
    return Line(label, "stated", (str(text),))


def held(label: str, parts: Sequence[Any], otherwise: str = "") -> Line:
    """A field that records fill; without parts it is not recorded, unless `otherwise` says what that means."""
    if parts or otherwise:
        return Line(label, "recorded", tuple(parts) or (otherwise,))
    return Line(label, "not recorded")


def listed(parts: Iterable[Any], between: str = ", ") -> Cell:
    """The parts with a comma between each two."""
    found: list[Any] = []
    for part in parts:
        found += [between, part] if found else [part]
    return tuple(found)


def general(case: Case) -> Section:
    """Section 1: who, which model, how much of what."""
    p = case.provider
    lines = (said("Version of the summary", p.summary_version),)
    provider = (
        said("Provider name", p.name),
        said("Contact details", p.contact),
        said("Authorised representative: name and contact details", p.authorised_representative),
    )
    return Section(
        "1",
        "General information",
        lines,
        parts=(Section("1.1", "Provider identification", provider), _model(case), _sizes(case)),
    )


def _model(case: Case) -> Section:
    p, subject = case.provider, case.ingredients.subject
    versions = [
        (recorded(one, "subject"), " version ", recorded(one, "decision", "version"), f" ({_result(one)})")
        for one in case.ingredients.decisions
        if one.kind != "takedown" and isinstance(one.decision.get("version"), int | str)
    ]
    lines = (
        said("Versioned model name(s)", p.model_names),
        held(
            "Versions in the ledger's decisions",
            [part for number, one in enumerate(versions) for part in (*(("; ",) if number else ()), *one)],
            "none recorded",
        ),
        held("Made by", (recorded(subject, "subject"), " at ", recorded(subject, "ended_at"))),
        *_bytes_of(subject),
        held("Built from", _dependencies(case.ingredients), "no record names weights or encoders of others"),
        said("Model dependencies, in words", p.dependencies),
        said("Date of placement on the Union market", p.placed_on_market),
    )
    return Section("1.2", "Model identification", lines)


def _result(decision: Record) -> str:
    return ": ".join(filter(None, (decision.kind, str(decision.decision.get("result", "")))))


def _bytes_of(subject: Record) -> list[Line]:
    return [
        held(f"SHA-256 of {item.path}", (recorded(subject, "outputs", place, "sha256"),))
        for place, item in enumerate(subject.outputs)
        if item.role != "metrics"
    ]


def _dependencies(ingredients: Ingredients) -> list[Part]:
    """What came trained from elsewhere: first weights, autoencoder, text encoder; each value once."""
    found = dict[str, Figure]()
    for key in ("repo", "revision", "autoencoder", "text_encoder"):
        for place, value in ingredients.parameters(key):
            if isinstance(value, str) and value:
                found.setdefault(f"{key.replace('_', ' ')} {value}", Figure(value, "is", (place,)))
    return [part for name, one in found.items() for part in (f"{name.rpartition(' ')[0]} ", one, "; ")][:-1]


def _sizes(case: Case) -> Section:
    """How much of each modality, after pre-processing and before training."""
    p, evidence = case.provider, case.evidence
    rows: list[tuple[Cell, ...]] = []
    if case.offered:
        images = evidence.figure("union", case.offered)
        rows.append(
            (("image",), (_band(images, IMAGE_BANDS),), (images, " images"), (p.image_content or "not stated",))
        )
    if pairs := _token_links(case.ingredients):
        tokens = evidence.figure("products", pairs)
        rows.append((("text",), (_band(tokens, TEXT_BANDS),), (tokens, " tokens"), (p.text_content or "not stated",)))
    table = Table(
        "Modalities",
        ("modality", "size band", "training data", "types of content (as stated)"),
        tuple(rows),
        "Images: those that trainings could draw, each once. Tokens: encoded texts times their mean length, where a "
        "stage measured both. No other modality stands in the records.",
        "not recorded",
    )
    ingests = [one for one in case.ingredients.records if one.sample_set("received")]
    lines = (
        held("Images that reached the weights", (evidence.figure("union", case.drawn),) if case.drawn else ()),
        held(
            "Images whose words were read without them",
            (evidence.figure("union", case.words), WORDS) if case.words else (),
            "none recorded",
        ),
        held(
            "Raw images were last read into this chain on",
            (evidence.figure("latest", [link(one, "started_at")[0] for one in ingests]),) if ingests else (),
        ),
        said("Latest date of data acquisition or collection", p.latest_acquisition),
        held("Languages of the texts, as configured", listed(_languages(case.ingredients))),
        said("Linguistic characteristics", p.linguistic_characteristics),
        said("Other relevant characteristics", p.other_characteristics),
    )
    return Section("1.3", "Modalities, overall training data size and other characteristics", lines, (table,))


def _band(figure: Figure, bands: Sequence[tuple[int, str]]) -> str:
    number, last = int(figure.value), bands[-1][1].split(" to ")[-1]
    return next((name for limit, name in bands if number < limit), f"more than {last}")


def _token_links(ingredients: Ingredients) -> list[Link]:
    """Two and two: how many texts a stage encoded, and of how many tokens in the mean."""
    names = ("encoded_texts", "mean_text_tokens")
    return [
        link(one, "measures", name)[0]
        for one in ingredients.records
        if all(name in one.measures for name in names)
        for name in names
    ]


def _languages(ingredients: Ingredients) -> list[Figure]:
    found = dict[str, Figure]()
    for place, value in ingredients.parameters("languages"):
        if isinstance(value, list):
            for number, one in enumerate(cast(list[Any], value)):
                found.setdefault(str(one), Figure(str(one), "is", (Link(place.record, f"{place.pointer}/{number}"),)))
    return list(found.values())
