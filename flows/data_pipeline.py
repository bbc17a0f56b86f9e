"""The data stages, wired: from raw images to encoded ones. `flows.pipeline` goes on from here."""

from flows.declaration import Artifact, Stage
from flows.stages.caption import caption
from flows.stages.categorize import categorize
from flows.stages.check_selection import check_selection
from flows.stages.check_sft import check_sft
from flows.stages.check_tables import check_tables
from flows.stages.curate_sft import curate_sft
from flows.stages.data_report import data_report
from flows.stages.encode import encode
from flows.stages.encode_sft import encode_sft
from flows.stages.filter_images import filter_images
from flows.stages.ingest import ingest
from flows.stages.render_text import render_text
from flows.stages.sample import sample
from flows.stages.score import score
from flows.stages.wishes import wishes

RAW = Artifact("data")
AUTOENCODER = Artifact("data/autoencoder")
REFERENCE = Artifact("infra/data-reference.json")

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

WISHES = Stage(
    wishes,
    inputs={
        "checked": CHECK_SFT.out("receipt"),
        "catalogue": CATALOGUE,
        "verdicts": VERDICTS,
        "categories": CATEGORIES,
        "captions": CAPTION.out("captions"),
        "selection": SELECTION,
        "rendered": RENDER_TEXT.out("rendered"),
    },
    outputs={
        "pairs": "artifacts/tables/wishes.parquet",
        "refused": "artifacts/tables/wish_refusals.parquet",
    },
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

DATA_STAGES = (
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
    WISHES,
    ENCODE,
    ENCODE_SFT,
)
