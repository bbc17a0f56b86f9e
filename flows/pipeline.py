"""The stages, wired. Read this first.

A stage is a function in `flows/stages/`; its signature says which parameters, inputs and outputs it has, and this table
only adds the paths. `easel sync` writes dvc.yaml from it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flows.declaration import Artifact, Pipeline, Stage
from flows.stages.caption import caption
from flows.stages.categorize import categorize
from flows.stages.check_selection import check_selection
from flows.stages.check_sft import check_sft
from flows.stages.check_tables import check_tables
from flows.stages.curate_sft import curate_sft
from flows.stages.data_report import data_report
from flows.stages.distill import distill
from flows.stages.dpo import dpo
from flows.stages.encode import encode
from flows.stages.encode_sft import encode_sft
from flows.stages.evaluate import evaluate
from flows.stages.export import export
from flows.stages.filter_images import filter_images
from flows.stages.ingest import ingest
from flows.stages.preferences import preferences
from flows.stages.pretrain import pretrain
from flows.stages.register import register
from flows.stages.render_text import render_text
from flows.stages.sample import sample
from flows.stages.score import score
from flows.stages.sft import sft

RAW = Artifact("data")
AUTOENCODER = Artifact("data/autoencoder")
REFERENCE = Artifact("infra/data-reference.json")


def _training(function: Callable[..., Any], made: str, inputs: Mapping[str, Artifact], *, name: str = "") -> Stage:
    """A stage that trains the model `made`, whose name it has too if no other is given."""
    outputs = {"model": f"artifacts/models/{made}", "grids": f"artifacts/grids/{made}"}
    return Stage(function, inputs, outputs, name=name or made, needs_libraries=True, distributed=True)


INGEST = Stage(
    ingest,
    inputs={"raw": RAW},
    outputs={
        "images": "artifacts/images",
        "catalogue": "artifacts/tables/catalogue.parquet",
        "quarantine": "artifacts/tables/quarantine.parquet",
        "refusals": "artifacts/tables/refusals.parquet",
    },
)
IMAGES, CATALOGUE = INGEST.out("images"), INGEST.out("catalogue")

FILTER = Stage(
    filter_images,
    inputs={"images": IMAGES, "catalogue": CATALOGUE},
    outputs={"verdicts": "artifacts/tables/verdicts.parquet"},
    needs_libraries=True,
)
VERDICTS = FILTER.out("verdicts")

CATEGORIZE = Stage(
    categorize,
    inputs={"images": IMAGES, "catalogue": CATALOGUE, "verdicts": VERDICTS, "autoencoder": AUTOENCODER},
    outputs={
        "categories": "artifacts/tables/categories.parquet",
        "features": "artifacts/features",
        "classifier": "artifacts/models/classifier",
    },
    needs_libraries=True,
)
CATEGORIES, FEATURES = CATEGORIZE.out("categories"), CATEGORIZE.out("features")

CAPTION = Stage(
    caption,
    inputs={"images": IMAGES, "catalogue": CATALOGUE, "verdicts": VERDICTS, "categories": CATEGORIES},
    outputs={"captions": "artifacts/tables/captions.parquet", "ocr": "artifacts/tables/ocr.parquet"},
    needs_libraries=True,
)

SCORE = Stage(
    score,
    inputs={"images": IMAGES, "catalogue": CATALOGUE, "verdicts": VERDICTS, "features": FEATURES},
    outputs={"scores": "artifacts/tables/scores.parquet", "scorer": "artifacts/models/scorer"},
    needs_libraries=True,
)

CHECK_TABLES = Stage(
    check_tables,
    inputs={
        "catalogue": CATALOGUE,
        "refusals": INGEST.out("refusals"),
        "quarantine": INGEST.out("quarantine"),
        "verdicts": VERDICTS,
        "categories": CATEGORIES,
        "captions": CAPTION.out("captions"),
        "ocr": CAPTION.out("ocr"),
        "scores": SCORE.out("scores"),
        "reference": REFERENCE,
    },
    outputs={"receipt": "artifacts/quality/tables.json"},
    needs_libraries=True,
)

SAMPLE = Stage(
    sample,
    inputs={
        "checked": CHECK_TABLES.out("receipt"),
        "catalogue": CATALOGUE,
        "verdicts": VERDICTS,
        "categories": CATEGORIES,
        "captions": CAPTION.out("captions"),
        "scores": SCORE.out("scores"),
    },
    outputs={
        "selection": "artifacts/tables/selection.parquet",
        "balance": "artifacts/tables/balance.parquet",
    },
)
SELECTION = SAMPLE.out("selection")

CHECK_SELECTION = Stage(
    check_selection,
    inputs={"verdicts": VERDICTS, "selection": SELECTION, "reference": REFERENCE},
    outputs={"receipt": "artifacts/quality/selection.json"},
    needs_libraries=True,
)

DATA_REPORT = Stage(
    data_report,
    inputs={
        "images": IMAGES,
        "catalogue": CATALOGUE,
        "refusals": INGEST.out("refusals"),
        "quarantine": INGEST.out("quarantine"),
        "verdicts": VERDICTS,
        "categories": CATEGORIES,
        "captions": CAPTION.out("captions"),
        "ocr": CAPTION.out("ocr"),
        "scores": SCORE.out("scores"),
        "selection": SELECTION,
    },
    outputs={"report": "artifacts/data_report"},
    needs_libraries=True,
)

RENDER_TEXT = Stage(
    render_text,
    inputs={},
    outputs={
        "images": "artifacts/rendered/images",
        "catalogue": "artifacts/tables/rendered_catalogue.parquet",
        "captions": "artifacts/tables/rendered_captions.parquet",
        "rendered": "artifacts/tables/rendered.parquet",
    },
    needs_libraries=True,
)

CURATE_SFT = Stage(
    curate_sft,
    inputs={
        "checked": CHECK_SELECTION.out("receipt"),
        "catalogue": CATALOGUE,
        "verdicts": VERDICTS,
        "categories": CATEGORIES,
        "captions": CAPTION.out("captions"),
        "scores": SCORE.out("scores"),
        "features": FEATURES,
        "selection": SELECTION,
        "rendered_catalogue": RENDER_TEXT.out("catalogue"),
        "rendered_captions": RENDER_TEXT.out("captions"),
        "rendered": RENDER_TEXT.out("rendered"),
    },
    outputs={
        "sft_selection": "artifacts/tables/sft_selection.parquet",
        "sft_prompts": "artifacts/tables/sft_prompts.parquet",
        "sft_gaps": "artifacts/tables/sft_gaps.parquet",
    },
)

CHECK_SFT = Stage(
    check_sft,
    inputs={
        "verdicts": VERDICTS,
        "selection": SELECTION,
        "rendered_catalogue": RENDER_TEXT.out("catalogue"),
        "rendered_captions": RENDER_TEXT.out("captions"),
        "rendered": RENDER_TEXT.out("rendered"),
        "sft_selection": CURATE_SFT.out("sft_selection"),
        "sft_prompts": CURATE_SFT.out("sft_prompts"),
    },
    outputs={"receipt": "artifacts/quality/sft.json"},
    needs_libraries=True,
)

ENCODE = Stage(
    encode,
    inputs={
        "checked": CHECK_SELECTION.out("receipt"),
        "images": IMAGES,
        "catalogue": CATALOGUE,
        "selection": SELECTION,
        "captions": CAPTION.out("captions"),
        "autoencoder": AUTOENCODER,
    },
    outputs={"latents": "artifacts/latents"},
    needs_libraries=True,
)
LATENTS = ENCODE.out("latents")

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

ENCODE_SFT = Stage(
    encode_sft,
    inputs={
        "checked": CHECK_SFT.out("receipt"),
        "images": IMAGES,
        "catalogue": CATALOGUE,
        "rendered_images": RENDER_TEXT.out("images"),
        "rendered_catalogue": RENDER_TEXT.out("catalogue"),
        "selection": SELECTION,
        "sft_selection": CURATE_SFT.out("sft_selection"),
        "sft_prompts": CURATE_SFT.out("sft_prompts"),
        "autoencoder": AUTOENCODER,
    },
    outputs={"latents": "artifacts/sft_latents"},
    needs_libraries=True,
)
SFT_LATENTS = ENCODE_SFT.out("latents")

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
EXPERT_LETTERING = _training(
    sft,
    "expert_lettering",
    TUNING,
)

EXPERT_STYLE = _training(
    sft,
    "expert_style",
    TUNING,
)

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
    },
    outputs={"report": "artifacts/report"},
    needs_libraries=True,
)

EXPORT = Stage(
    export,
    inputs={
        "model": ALIGNED,
        "autoencoder": AUTOENCODER,
        "report": EVALUATE.out("report"),
        "selection": SELECTION,
        "catalogue": CATALOGUE,
        "pairs": PREFERENCES.out("pairs"),
    },
    outputs={"pipeline": "artifacts/export"},
    needs_libraries=True,
)

REGISTER = Stage(
    register,
    inputs={"pipeline": EXPORT.out("pipeline"), "report": EVALUATE.out("report")},
    outputs={"receipt": "artifacts/registry/receipt.json"},
)

EXPORT_TURBO = Stage(
    export,
    name="export_turbo",
    inputs={
        "model": TURBO,
        "autoencoder": AUTOENCODER,
        "report": EVALUATE.out("report"),
        "selection": SELECTION,
        "catalogue": CATALOGUE,
        "pairs": PREFERENCES.out("pairs"),
    },
    outputs={"pipeline": "artifacts/export_turbo"},
    needs_libraries=True,
)

REGISTER_TURBO = Stage(
    register,
    name="register_turbo",
    inputs={"pipeline": EXPORT_TURBO.out("pipeline"), "report": EVALUATE.out("report")},
    outputs={"receipt": "artifacts/registry/turbo_receipt.json"},
)

PIPELINE = Pipeline(
    INGEST,
    FILTER,
    CATEGORIZE,
    CAPTION,
    SCORE,
    CHECK_TABLES,
    SAMPLE,
    CHECK_SELECTION,
    DATA_REPORT,
    RENDER_TEXT,
    CURATE_SFT,
    CHECK_SFT,
    ENCODE,
    PRETRAIN_1,
    PRETRAIN_2,
    PRETRAIN_3,
    ENCODE_SFT,
    SFT,
    PREFERENCES,
    DPO,
    EXPERT_LETTERING,
    EXPERT_STYLE,
    DISTILL,
    EVALUATE,
    EXPORT,
    REGISTER,
    EXPORT_TURBO,
    REGISTER_TURBO,
)
