"""Stage `export`: the trained model as a directory that stock diffusers loads, with card, samples and hashes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from diffusers import ErnieImagePipeline

    from components.registry.card import Enhancer


class Params(BaseModel, frozen=True, extra="forbid"):
    """The model's title, its name in the report, and the steps of the check in stock diffusers.

    A distilled model is checked as it says that it is drawn, whatever `check_sampling_steps`.
    """

    title: str = Field(min_length=1)
    evaluated_as: str
    check_sampling_steps: int = Field(gt=0)


@dataclass(frozen=True)
class Metrics:
    """Size of what was exported; `check_pixel_std` is that of the image stock diffusers drew (0 would be blank).

    `enhancer_parameters` is 0 where no prompt enhancer comes with it.
    """

    transformer_parameters: int
    enhancer_parameters: int
    exported_bytes: int
    check_pixel_std: float


def export(
    p: Params,
    *,
    model: Path,
    autoencoder: Path,
    report: Path,
    selection: Path,
    catalogue: Path,
    pairs: Path | None = None,
    enhancer: Path | None = None,
    pipeline: Path,
) -> Metrics:
    """Write the pipeline in diffusers' layout, load it as a stranger would, add model card, samples and hashes."""
    import json
    import shutil

    from components.models.diffusers_layout import check_as_stranger, write_pipeline
    from components.models.training_record import read_training_record
    from components.registry.card import Card, render
    from components.registry.card_sources import read_pairs, read_scores, read_sources, read_wins
    from components.registry.hashes import write_hashes
    from components.tracking import current_run

    record, scores = read_training_record(model), read_scores(report, p.evaluated_as)
    written = write_pipeline(pipeline, model_dir=model, autoencoder_dir=autoencoder, record=record)
    num_parameters = sum(weight.numel() for weight in written.transformer.parameters())
    prompts = json.loads((report / "report.json").read_text(encoding="utf-8"))["prompts"]
    asked: dict[str, Any] = {
        "prompt": next(iter(prompts), ""),
        "side_px": record.px,
        "num_sampling_steps": p.check_sampling_steps,
    }
    std = check_as_stranger(pipeline, **asked)
    told = add_and_tell(written, pipeline, enhancer, report, p.evaluated_as, asked) if enhancer else None
    card = Card(
        title=p.title,
        resolution_px=record.px,
        num_parameters=num_parameters,
        images_seen=record.images_seen,
        shift=record.shift,
        scores=scores,
        wins=read_wins(report, p.evaluated_as),
        pairs=read_pairs(pairs) if pairs else None,
        sources=read_sources(selection, catalogue),
        prompts=prompts,
        few_steps=record.few_steps,
        teachers=record.teachers,
        drift=record.drift,
        enhancer=told,
    )
    (pipeline / "README.md").write_text(render(card), encoding="utf-8")
    shutil.copyfile(report / f"samples_{p.evaluated_as}.png", pipeline / "samples.png")
    digest = write_hashes(pipeline)
    run = current_run()
    run.set_tags({"easel.model_sha256": digest})
    run.log_artifact(pipeline / "README.md", "card")
    return Metrics(
        transformer_parameters=num_parameters,
        enhancer_parameters=told.num_parameters if told else 0,
        exported_bytes=sum(file.stat().st_size for file in pipeline.rglob("*") if file.is_file()),
        check_pixel_std=std,
    )


def add_and_tell(
    written: "ErnieImagePipeline",
    pipeline: Path,
    enhancer: Path,
    report: Path,
    evaluated_as: str,
    asked: Mapping[str, Any],
) -> "Enhancer":
    """Add the prompt enhancer, have stock diffusers use it for what is `asked`, and return what the card says of it."""
    from components.models.enhancer_layout import add_enhancer, check_rewriting
    from components.registry.card import Enhancer
    from components.registry.card_sources import read_effects, read_figures

    num_parameters = add_enhancer(written, pipeline, enhancer)
    rewriting = check_rewriting(pipeline, **asked)
    effects = read_effects(report, evaluated_as)
    return Enhancer(num_parameters, read_figures(enhancer), effects, rewriting.prompt, rewriting.revised)
