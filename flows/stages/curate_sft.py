"""Stage `curate_sft`: a demand list met from the catalogue and rendered text, with what is missing, and prompts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from components.data.top_down.config import Domain, PromptEndpoint


class Params(BaseModel, frozen=True, extra="forbid"):
    """What is demanded, in which languages prompts are written, and by whom; `max_themes`: tags told beyond the title.

    The grammar writes what a language model behind `endpoint` leaves out or gets wrong.
    """

    num_images: int = Field(gt=0)
    domains: tuple[Domain, ...]
    languages: tuple[Literal["en", "zh"], ...] = Field(min_length=1)
    max_themes: int = Field(ge=0)
    writer: Literal["grammar", "endpoint"]
    endpoint: PromptEndpoint | None
    seed: int

    @model_validator(mode="after")
    def _writer_has_its_endpoint(self) -> "Params":
        if self.writer == "endpoint" and self.endpoint is None:
            raise ValueError("writer is endpoint, but endpoint is null; give it a url and a model, or take grammar")
        return self


@dataclass(frozen=True)
class Metrics:
    """wanted = selected + missing; selected = the sum over how they were found."""

    wanted_images: int
    selected_images: int
    missing_images: int
    domains: int
    unmet_domains: int
    found_by_words: int
    found_by_features: int
    found_by_category: int
    found_by_style: int
    found_by_pool: int
    held_out_images: int
    prompts: int
    refused_prompts: int
    mean_prompt_chars: float


def curate_sft(
    p: Params,
    *,
    checked: Path,
    catalogue: Path,
    verdicts: Path,
    categories: Path,
    captions: Path,
    scores: Path,
    features: Path,
    selection: Path,
    rendered_catalogue: Path,
    rendered_captions: Path,
    rendered: Path,
    sft_selection: Path,
    sft_prompts: Path,
    sft_gaps: Path,
) -> Metrics:
    """Choose images for each domain of the demand list, say what is missing, and write four prompts for each image.

    `checked` is the receipt of a selection that passed: it is not read, but nothing is curated without it.
    """
    from collections import Counter

    from components.data import feature_table, records
    from components.data.top_down import candidates, demand, known
    from components.data.top_down.endpoint_writer import EndpointWriter
    from components.data.top_down.facts import Lexicon
    from components.data.top_down.prompt_grammar import GrammarWriter
    from components.data.top_down.prompt_tables import prompts_table, subjects_of
    from components.tracking import current_run
    from flows.settings import vlm_api_key

    run = current_run()
    kept = records.kept_ids(verdicts)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    drawn = records.read_table(rendered_catalogue, records.CATALOGUE)
    texts = records.read_table(rendered, records.RENDERED)
    captioned = records.read_table(captions, records.CAPTIONS)
    pools = [
        candidates.from_catalogue(
            samples,
            records.take_ids(records.read_table(categories, records.CATEGORIES), kept, categories),
            captioned,
            records.take_ids(records.read_table(scores, records.SCORES), kept, scores),
            feature_table.read_features(features, kept),
            records.read_table(selection, records.SELECTION),
        ),
        candidates.from_rendered(drawn, records.read_table(rendered_captions, records.CAPTIONS), texts),
    ]
    found = demand.meet(p.domains, pools, p.num_images)
    gaps = demand.gaps_table(found)
    records.write_table(gaps, sft_gaps)
    report = sft_gaps.with_suffix(".txt")
    report.write_text(demand.gaps_text(gaps), encoding="utf-8")
    run.log_artifact(report, "curate_sft")
    chosen = demand.selection_table(found, pools)
    records.write_table(chosen, sft_selection)

    described = known.with_made_titles(samples.to_pylist(), captioned)
    rows = {row["sample_id"]: row for row in (*described, *texts.to_pylist())}
    ids = chosen.column("sample_id").to_pylist()
    lexicon = Lexicon.of(known.phrases(described), set(records.strings(samples, "style")))
    grammar = GrammarWriter(p.seed)
    writer = EndpointWriter(p.endpoint, vlm_api_key()) if p.writer == "endpoint" and p.endpoint else grammar
    subjects = subjects_of([rows[name] for name in ids], p.languages, p.max_themes)
    prompts, refused = prompts_table(subjects, lexicon, writer, grammar)
    records.write_table(prompts, sft_prompts)
    missing = gaps.column("missing").to_pylist()
    ways = Counter(records.strings(chosen, "found_by"))
    return Metrics(
        wanted_images=p.num_images,
        selected_images=chosen.num_rows,
        missing_images=sum(missing),
        domains=len(missing),
        unmet_domains=sum(number > 0 for number in missing),
        **{f"found_by_{way}": ways[way] for way in ("words", "features", "category", "style", "pool")},
        held_out_images=int((~pools[0].is_free).sum()),
        prompts=prompts.num_rows,
        refused_prompts=refused.total(),
        mean_prompt_chars=sum(map(len, prompts.column("text").to_pylist())) / max(prompts.num_rows, 1),
    )
