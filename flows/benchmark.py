"""Public benchmarks of what a model draws: what `easel benchmark geneval`, `oneig` and `longtext` do."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import settings
from flows.generate import GUIDANCE, STEPS, fits
from flows.requests import check_seed, check_size, model_directory
from flows.workspace import git_state

if TYPE_CHECKING:
    import numpy as np
    from diffusers import ErnieImagePipeline

    from components.evaluation.benchmarks.drawing import Draw
    from components.evaluation.benchmarks.results import Results, Shown
    from components.evaluation.benchmarks.scores import Score
    from components.evaluation.benchmarks.suite import Case, Suite

FOLDER = Path("artifacts/benchmarks")
SEED = 42
"""Of the first drawing of every prompt, as GenEval has it."""
SHOWN = 12
READ_SIDE_PX, FEATURE_PX = 736, 224
READERS = 2
ABOUT = (
    "A public benchmark, drawn as it asks and scored with what is here. Every score names who gave it. Only the "
    "benchmark's own scorer gives numbers that may stand beside published ones."
)
Progress = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is, and how much there is to do."""


@dataclass(frozen=True)
class Request:
    """What to run: the benchmark's name and file, whose drawings, and how they are drawn.

    `limit` takes that many prompts (None: all). `official` is what the benchmark's own scorer wrote of the drawings.
    With `again` nothing that was drawn before is kept.
    """

    name: str
    prompts: Path
    model: str = "latest"
    limit: int | None = None
    enhance: bool = False
    seed: int = SEED
    side_px: int = 64
    official: Path | None = None
    again: bool = False


def run_benchmark(root: Path, request: Request, on_progress: Progress) -> "tuple[Results, Path]":
    """Draw what is not drawn yet, score it, and leave results, page and pictures in the folder that is returned.

    Raises:
        ValueError: in one line: a file that is not the benchmark's, a model that is not there, a setting that cannot
            be, or pictures that were drawn with other settings.
    """
    from flows.run import stage_lock

    check_size(request.side_px, request.side_px)
    check_seed(request.seed)
    whole = read_suite(request)
    directory = model_directory(root, request.model)
    label = label_of(request.model, enhance=request.enhance)
    folder = root / FOLDER / whole.name / label
    with stage_lock(root, f"benchmark-{whole.name}-{label}"):
        from components.models.diffusers_layout import load_pipeline

        pipeline = load_pipeline(directory)
        reads = fits(pipeline)
        suite, notes = readable(whole, reads)
        told = enhanced(suite, root, directory, request, reads)
        drawn_with = sampling(root, directory, request)
        seconds = draw_all(folder, suite, label, told, drawer(pipeline, drawn_with), drawn_with, request, on_progress)
        scores = measured(suite, folder, label, request, on_progress)
        facts = {"drawings": suite.num_images * len(suite.cases), "prompts": len(suite.cases), **drawn_with}
        results = as_results(suite, label, facts, scores, notes)
        leave(root, folder, results, some_of(suite, folder, label, request.seed, told), seconds)
    return results, folder


def read_suite(request: Request) -> "Suite":
    """The benchmark's cases, as many as are asked for; ValueError in one line for a file that is not as published."""
    from components.evaluation.benchmarks import geneval, longtext, oneig

    read = {"geneval": geneval.read, "longtext": longtext.read, "oneig": oneig.read}[request.name]
    suite = read(request.prompts)
    return suite if request.limit is None else suite.first(request.limit)


def label_of(model: str, *, enhance: bool) -> str:
    """What a model's folder is called: `turbo:3` is turbo-3, a directory goes by its name."""
    name = Path(model).resolve().name if Path(model).is_dir() else model
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") + ("-enhanced" if enhance else "")


def readable(suite: "Suite", reads: Callable[[str], bool]) -> "tuple[Suite, list[str]]":
    """The cases whose prompts the model reads to their end, and a line on the others.

    Raises:
        ValueError: it reads none of them.
    """
    cases = [case for case in suite.cases if reads(case.prompt)]
    num_left = len(suite.cases) - len(cases)
    if not cases:
        raise ValueError(f"{suite.title}: the model reads none of the {num_left} prompts to its end; all are too long")
    line = f"{num_left} prompts were not drawn: they are longer than the model reads, and would be cut."
    return replace(suite, cases=cases), [line] if num_left else []


def enhanced(
    suite: "Suite", root: Path, directory: Path, request: Request, reads: Callable[[str], bool]
) -> dict[str, str]:
    """What is drawn for each prompt that the enhancer says at more length, if the model `reads` that to its end."""
    if not request.enhance:
        return {}
    from flows.enhance import enhancer_of
    from flows.enhanced_drawings import rewrite

    found = rewrite([case.prompt for case in suite.cases], enhancer_of(directory, root), request.side_px, request.seed)
    return {prompt: one.text for prompt, one in found.items() if one.was_enhanced and reads(one.text)}


def sampling(root: Path, directory: Path, request: Request) -> dict[str, Any]:
    """How every picture is drawn: the model, its steps and guidance, as it states them, and what was asked for."""
    from components.enhancer.decoding import MODEL
    from components.models.diffusers_layout import stated_few_steps
    from components.registry.hashes import file_sha256, path_sha256, stated_digest
    from flows.enhance import enhancer_of

    stated = stated_few_steps(directory)
    return {
        "model_sha256": stated_digest(directory) or path_sha256(directory),
        "prompts_sha256": file_sha256(request.prompts),
        "steps": stated.num_steps if stated else STEPS,
        "guidance": stated.guidance_scale if stated else GUIDANCE,
        "side_px": request.side_px,
        "seed": request.seed,
        "enhancer_sha256": path_sha256(enhancer_of(directory, root) / MODEL) if request.enhance else "",
    }


def drawer(pipeline: "ErnieImagePipeline", drawn_with: Mapping[str, Any]) -> "Draw":
    """Who draws: the same picture for the same prompt and seed."""
    from components.models.diffusers_layout import draw

    side = drawn_with["side_px"]
    steps, guidance = drawn_with["steps"], drawn_with["guidance"]

    def one(prompt: str, seed: int) -> Any:
        sizes = {"width_px": side, "height_px": side}
        return draw(pipeline, prompt, **sizes, num_sampling_steps=steps, guidance_scale=guidance, seed=seed)

    return one


def draw_all(
    folder: Path,
    suite: "Suite",
    label: str,
    told: Mapping[str, str],
    draw: "Draw",
    drawn_with: Mapping[str, Any],
    request: Request,
    on_progress: Progress,
) -> float | None:
    """Draw what is not there yet; returns the seconds for one drawing, None where all were there."""
    import shutil

    from components.evaluation.benchmarks.drawing import begin, draw_missing

    if request.again:
        shutil.rmtree(folder, ignore_errors=True)
    pictures = suite.pictures(label, request.seed)
    begin(folder, drawn_with, pictures, told)
    started = time.monotonic()
    num_drawn = draw_missing(
        folder, pictures, told, draw, lambda done, total: on_progress(f"{label}: drawing", done, total)
    )
    per_picture = len(pictures[0].seeds)
    return (time.monotonic() - started) / (num_drawn * per_picture) if num_drawn else None


def measured(suite: "Suite", folder: Path, label: str, request: Request, on_progress: Progress) -> "list[Score]":
    """The scores that can be given here, and those that the benchmark's own scorer gave."""
    from components.evaluation.benchmarks import official
    from components.evaluation.benchmarks.measures import READER, longtext_scores, oneig_text_scores, variety_scores
    from components.evaluation.benchmarks.official_oneig import oneig_scores

    def in_drawings(of: "Sequence[Case]") -> list[list[str]]:
        return read_letters(suite, of, folder, label, request.seed, on_progress)

    match request.name:
        case "geneval":
            return official.geneval_scores(request.official, suite) if request.official else []
        case "longtext":
            theirs = official.longtext_official(request.official, suite) if request.official else []
            return theirs + longtext_scores(
                suite.cases, in_drawings(suite.cases), suite.language, "word_accuracy", READER, False
            )
        case _:
            worded = [case for case in suite.cases if case.text]
            letters = oneig_text_scores(worded, in_drawings(worded), suite.language) if worded else []
            theirs = oneig_scores(request.official, suite, label) if request.official else []
            return theirs + letters + variety_scores(suite.cases, seen(suite, folder, label, request.seed, on_progress))


def read_letters(
    suite: "Suite", cases: "Sequence[Case]", folder: Path, label: str, seed: int, on_progress: Progress
) -> list[list[str]]:
    """What stands in each drawing of each case, as PP-OCRv4 reads it."""
    from components.evaluation.benchmarks.drawing import drawings
    from components.models.text_recognition import TextReader

    reader, found = TextReader(READ_SIDE_PX), list[list[str]]()
    with ThreadPoolExecutor(READERS) as threads:
        for number, case in enumerate(cases):
            parts = [drawings(folder, picture) for picture in suite.place(case, label, seed)]
            lines = threads.map(reader.read, [image for part in parts for image in part])
            found.append([" ".join(line.text for line in of_image) for of_image in lines])
            on_progress(f"{label}: reading letters", number + 1, len(cases))
    return found


def seen(suite: "Suite", folder: Path, label: str, seed: int, on_progress: Progress) -> "np.ndarray":
    """The features of each drawing of each case."""
    import numpy as np

    from components.evaluation.benchmarks.drawing import drawings
    from components.evaluation.judging import features_of
    from components.models.image_features import ImageFeatures

    model, found = ImageFeatures(FEATURE_PX, "fp32"), list[Any]()
    for number, case in enumerate(suite.cases):
        parts = [drawings(folder, picture) for picture in suite.place(case, label, seed)]
        found.append(features_of(model, np.concatenate(parts)))
        on_progress(f"{label}: comparing drawings", number + 1, len(suite.cases))
    return np.stack(found)


def as_results(
    suite: "Suite", label: str, facts: Mapping[str, Any], scores: "Sequence[Score]", notes: Sequence[str]
) -> "Results":
    """The scores with what they are worth, and published numbers only where they are of the same cases and scorer."""
    from components.evaluation.benchmarks.published import published
    from components.evaluation.benchmarks.results import Results

    given = {score.metric for score in scores if score.is_official}
    part = f"{len(suite.cases)} of the benchmark's {suite.num_published} prompts: no published number is of these."
    return Results(
        suite.name,
        suite.title,
        ABOUT,
        "Some of what was drawn",
        label,
        facts,
        scores,
        [one for one in suite.unscored if one.metric not in given],
        [*notes, *([] if suite.is_whole else [part])],
        published(suite.published) if suite.is_whole and given else (),
    )


def some_of(suite: "Suite", folder: Path, label: str, seed: int, told: Mapping[str, str]) -> "list[Shown]":
    """The first few drawings of each group, in turns, and what was drawn where that is not the prompt itself."""
    import numpy as np

    from components.evaluation.benchmarks.drawing import drawings
    from components.evaluation.benchmarks.results import Shown

    shown: list[Shown] = []
    for case in suite.first(SHOWN).cases:
        images = np.concatenate([drawings(folder, picture) for picture in suite.place(case, label, seed)])
        words = (case.key, case.group, f"drawn as: {told[case.prompt]}" if case.prompt in told else "")
        shown.append(Shown(case.prompt, list(images), " · ".join(word for word in words if word)))
    return shown


def leave(
    root: Path, folder: Path, results: "Results", shown: "Sequence[Shown]", seconds_per_image: float | None
) -> None:
    """Write results and page, and record them in the workspace's experiment; a time stands there only."""
    from components import tracking
    from components.evaluation.benchmarks.results import PAGE, RESULTS, write_results

    write_results(folder, results, shown)
    tags = {"easel.benchmark": results.name, "easel.model": results.model, **git_state(root).tags}
    store = settings.tracking_store(root)
    with tracking.open_run(f"benchmark_{results.name}", **store, tags=tags) as run:
        run.log_params(dict(results.facts))
        run.log_metrics(
            {f"{results.name}/{score.metric}": score.value for score in results.scores if not score.group}
            | ({"seconds_per_image": seconds_per_image} if seconds_per_image is not None else {})
        )
        for file in (PAGE, RESULTS):
            run.log_artifact(folder / file)
