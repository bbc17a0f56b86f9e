"""The stages, wired. Read this first, after the data's in `flows.data_pipeline`.

A stage is a function in `flows/stages/`; its signature says which parameters, inputs and outputs it has, and these
tables only add the paths. `easel sync` writes dvc.yaml from them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flows.data_pipeline import (
    AUTOENCODER,
    CATALOGUE,
    CATEGORIES,
    CATEGORIZE,
    CURATE_SFT,
    DATA_STAGES,
    FEATURES,
    IMAGES,
    LATENTS,
    RAW,
    SCORE,
    SELECTION,
    SFT_LATENTS,
    VERDICTS,
    WISHES,
)
from flows.declaration import Artifact, Pipeline, Stage
from flows.stages.aes import aes
from flows.stages.distill import distill
from flows.stages.dpo import dpo
from flows.stages.enhancer import enhancer
from flows.stages.evaluate import evaluate
from flows.stages.export import export
from flows.stages.preferences import preferences
from flows.stages.pretrain import pretrain
from flows.stages.register import register
from flows.stages.sft import sft


def _training(function: Callable[..., Any], made: str, inputs: Mapping[str, Artifact], *, name: str = "") -> Stage:
    """A stage that trains the model `made`, whose name it has too if no other is given."""
    outputs = {"model": f"artifacts/models/{made}", "grids": f"artifacts/grids/{made}"}
    return Stage(function, inputs, outputs, name=name or made, needs_libraries=True, distributed=True)


# One phase a resolution. Where a recipe has fewer resolutions than phases, the last one settles at a small rate.
PRETRAIN_1 = _training(
    pretrain,
    "pretrain_1",
    {"latents": LATENTS, "autoencoder": AUTOENCODER},
)

PRETRAIN_2 = _training(
    pretrain,
    "pretrain_2",
    {"latents": LATENTS, "autoencoder": AUTOENCODER, "init": PRETRAIN_1.out("model")},
)

PRETRAIN_3 = _training(
    pretrain,
    "pretrain_3",
    {"latents": LATENTS, "autoencoder": AUTOENCODER, "init": PRETRAIN_2.out("model")},
)
BASE = PRETRAIN_3.out("model")

SFT = _training(
    sft,
    "sft",
    {
        "curated": SFT_LATENTS,
        "sft_selection": CURATE_SFT.out("sft_selection"),
        "latents": LATENTS,
        "autoencoder": AUTOENCODER,
        "init": BASE,
    },
)
TUNED = SFT.out("model")

PREFERENCES = Stage(
    preferences,
    inputs={
        "model": TUNED,
        "autoencoder": AUTOENCODER,
        "latents": LATENTS,
        "sft_latents": SFT_LATENTS,
        "classifier": CATEGORIZE.out("classifier"),
        "scorer": SCORE.out("scorer"),
        "raw": RAW,
    },
    outputs={
        "pairs": "artifacts/tables/pairs.parquet",
        "candidates": "artifacts/tables/candidates.parquet",
        "candidate_images": "artifacts/preferences/images",
        "pair_latents": "artifacts/preferences/latents",
    },
    needs_libraries=True,
)

DPO = _training(
    dpo,
    "dpo",
    {
        "init": TUNED,
        "pairs": PREFERENCES.out("pairs"),
        "pair_latents": PREFERENCES.out("pair_latents"),
        "latents": LATENTS,
        "features": FEATURES,
        "classifier": CATEGORIZE.out("classifier"),
        "autoencoder": AUTOENCODER,
    },
)
ALIGNED = DPO.out("model")

TUNING = {
    "curated": SFT_LATENTS,
    "sft_selection": CURATE_SFT.out("sft_selection"),
    "latents": LATENTS,
    "autoencoder": AUTOENCODER,
    "init": ALIGNED,
}
EXPERT_LETTERING = _training(sft, "expert_lettering", TUNING)
EXPERT_STYLE = _training(sft, "expert_style", TUNING)

# More experts, as `layout` and `photo`, are inputs of this stage too, once they are stages.
DISTILL = _training(
    distill,
    "turbo",
    {
        "init": ALIGNED,
        "lettering": EXPERT_LETTERING.out("model"),
        "style": EXPERT_STYLE.out("model"),
        "curated": SFT_LATENTS,
        "sft_selection": CURATE_SFT.out("sft_selection"),
        "latents": LATENTS,
        "classifier": CATEGORIZE.out("classifier"),
        "scorer": SCORE.out("scorer"),
        "autoencoder": AUTOENCODER,
    },
    name="distill",
)
TURBO = DISTILL.out("model")

ENHANCER = Stage(
    enhancer,
    inputs={"pairs": WISHES.out("pairs")},
    outputs={"model": "artifacts/models/enhancer"},
    needs_libraries=True,
    distributed=True,
)

AES = Stage(
    aes,
    inputs={
        "images": IMAGES,
        "catalogue": CATALOGUE,
        "verdicts": VERDICTS,
        "categories": CATEGORIES,
        "candidates": PREFERENCES.out("candidates"),
        "candidate_images": PREFERENCES.out("candidate_images"),
        "raw": RAW,
    },
    outputs={"model": "artifacts/models/aes"},
    needs_libraries=True,
)

EVALUATE = Stage(
    evaluate,
    inputs={
        "base": BASE,
        "sft": TUNED,
        "dpo": ALIGNED,
        "turbo": TURBO,
        "autoencoder": AUTOENCODER,
        "latents": LATENTS,
        "images": IMAGES,
        "catalogue": CATALOGUE,
        "classifier": CATEGORIZE.out("classifier"),
        "scorer": SCORE.out("scorer"),
        "enhancer": ENHANCER.out("model"),
        "aes": AES.out("model"),
    },
    outputs={"report": "artifacts/report"},
    needs_libraries=True,
)


def _export(name: str, model: Artifact) -> Stage:
    """The stage that writes the pipeline of `model`, into a folder of the stage's name."""
    inputs = {
        "model": model,
        "autoencoder": AUTOENCODER,
        "report": EVALUATE.out("report"),
        "selection": SELECTION,
        "catalogue": CATALOGUE,
        "pairs": PREFERENCES.out("pairs"),
        "enhancer": ENHANCER.out("model"),
    }
    return Stage(export, inputs, {"pipeline": f"artifacts/{name}"}, name=name, needs_libraries=True)


def _register(name: str, exported: Stage, receipt: str) -> Stage:
    """The stage that registers what `exported` wrote."""
    inputs = {"pipeline": exported.out("pipeline"), "report": EVALUATE.out("report")}
    return Stage(register, inputs, {"receipt": receipt}, name=name)


EXPORT = _export("export", ALIGNED)
REGISTER = _register("register", EXPORT, "artifacts/registry/receipt.json")
EXPORT_TURBO = _export("export_turbo", TURBO)
REGISTER_TURBO = _register("register_turbo", EXPORT_TURBO, "artifacts/registry/turbo_receipt.json")

PIPELINE = Pipeline(
    *DATA_STAGES,
    PRETRAIN_1,
    PRETRAIN_2,
    PRETRAIN_3,
    SFT,
    PREFERENCES,
    DPO,
    EXPERT_LETTERING,
    EXPERT_STYLE,
    DISTILL,
    ENHANCER,
    AES,
    EVALUATE,
    EXPORT,
    REGISTER,
    EXPORT_TURBO,
    REGISTER_TURBO,
)
