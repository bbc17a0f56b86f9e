"""`easel ablate dpo`: what the safeguards of preference training are worth, from the artifacts of a finished run.

Four trainings with the same pairs, start, steps, seeds and learning rate: the DPO term alone, with anchors, with the
winner-preserving scale, with both. It is no stage: nothing stands on it, and it changes no artifact of the pipeline.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from components.training.config import PreferenceConfig
from flows import settings
from flows.parameters import PARAMS_FILE, parse_block, read_blocks
from flows.pipeline import PIPELINE
from flows.run import check_inputs
from flows.workspace import git_state

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from components.evaluation.ablation import ArmResult
    from components.evaluation.comparison import WinRate
    from components.models.denoiser import Denoiser
    from components.preference.judges import Asked, Images, Judge
    from components.tracking import Run

    Weights = dict[str, Tensor]

Curves = dict[str, list[tuple[int, float]]]
FOLDER = Path("artifacts/ablations/dpo")
TABLE, FIGURES, CHART = "table.md", "table.json", "errors.png"
STAGE, JUDGED = PIPELINE["dpo"], PIPELINE["evaluate"]
HASTE = 3.0
"""Times the learning rate of `dpo`, unless another is asked for: what runs away then does so within minutes."""
Progress = Callable[[str, int, int], None]
"""Is told a training's title, how many pairs it has seen and how many it will see."""


@dataclass(frozen=True)
class Request:
    """What differs from the `dpo` block, the scale's mu, and how many prompts are judged by their pictures (0: none).

    None is the block's own number of pairs, and `HASTE` times its learning rate.
    """

    num_pairs: int | None = None
    learning_rate: float | None = None
    mu: float = 0.9
    num_prompts: int = 64


def ablate_dpo(root: Path, request: Request, profile: settings.Profile, on_progress: Progress) -> dict[str, Any]:
    """Train the four arms, write table, figures, chart and grids to `FOLDER`, and return what the JSON holds.

    Raises:
        ValueError: an input is missing, or an option or the profile is not possible; one line says what to do.
    """
    if profile.execution.world_size > 1:
        raise ValueError(f"profile {profile.name} trains in several processes, `ablate` in one; choose --profile cpu")
    check_inputs(STAGE, root)
    from components import tracking
    from components.evaluation.ablation import ablation_chart, arm_result, markdown_table
    from components.training.preference_ablation import ARMS, arm_configs

    trial = Trial(root, request, profile)
    configs = arm_configs(trial.config, request.mu)
    store, tags = settings.tracking_store(root), {"easel.ablation": "dpo", **git_state(root).tags}
    with tracking.open_run("ablate_dpo", **store, tags=tags) as parent:
        parent.log_params(asdict(request))
        results: list[ArmResult] = []
        histories: dict[str, Curves] = {}
        for arm, config in configs.items():
            title = ARMS[arm]

            def tell(done: int, total: int, fields: Mapping[str, Any], title: str = title) -> None:
                on_progress(title, done, total)

            with tracking.open_run(arm, **store, parent_run_id=parent.ref, tags=tags, on_progress=tell) as run:
                run.log_params(asdict(config))
                histories[arm], weights, ended = trial.train(arm, config, run)
                judged = trial.judge(arm, weights) if weights is not None and request.num_prompts else None
                results.append(arm_result(arm, title, histories[arm], judged, ended))
        figures = {
            "request": asdict(request),
            "training": asdict(trial.config),
            "arms": [asdict(result) for result in results],
            "curves": histories,
        }
        write(root / FOLDER, markdown_table(results), figures, ablation_chart(ARMS, histories))
        parent.log_artifact(root / FOLDER)
    return finite(figures)


class Trial:
    """What the arms have in common, read once: pairs, start, autoencoder and settings; the judge when it is asked."""

    def __init__(self, root: Path, request: Request, profile: settings.Profile) -> None:
        from components.data.latents import check_autoencoder, read_buckets
        from components.data.records import PAIRS, read_table
        from components.models.autoencoder import autoencoder_sha256, load_autoencoder

        self._paths = {role: root / artifact.path for role, artifact in STAGE.inputs.items()}
        self._root, self._num_prompts, self._execution = root, request.num_prompts, profile.execution
        self._params: Any = parse_block(STAGE, read_blocks(root / PARAMS_FILE), Path(PARAMS_FILE))
        self.config = changed(self._params.training, request)
        check_autoencoder(self._paths["pair_latents"], autoencoder_sha256(self._paths["autoencoder"]))
        self._buckets = read_buckets(self._paths["pair_latents"], self._params.px)
        self._pairs = read_table(self._paths["pairs"], PAIRS)
        self._autoencoder = load_autoencoder(self._paths["autoencoder"])

    def start(self) -> "Denoiser":
        """The network that the pairs were drawn from, with new adapters if the training has some."""
        from components.training.pretrain import AVERAGED, start_network

        store = next(iter(self._buckets.values()))
        shape, first = self._params.model, self._paths["init"] / AVERAGED
        channels, text_dim = store.latents.shape[1], store.texts.states.shape[1]
        return start_network(shape, channels, text_dim, first, self.config.lora, self.config.seed)

    def train(self, arm: str, config: PreferenceConfig, run: "Run") -> tuple[Curves, "Weights | None", str]:
        """What an arm reported, its weights (None where numbers broke), and why it ended early ("" if it did not)."""
        from PIL import Image

        from components.training.preference_ablation import train_arm
        from components.training.reporting import Remembering

        def save(grid_u8: "np.ndarray", seen: int) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grid_u8).save(folder / (f"grid_{arm}.png" if seen else "grid_start.png"))

        folder, incidents, report = self._root / FOLDER, settings.home(self._root) / "incidents", Remembering(run)
        done = train_arm(
            *(self._buckets, self._pairs, self.start(), self._autoencoder, config, self._execution),
            *(report, incidents, save),
        )
        return report.history, done.weights, done.ended_early

    def judge(self, arm: str, weights: "Weights") -> "WinRate":
        """How often the judge of `evaluate` prefers a picture of the arm to the start's, for held-out prompts."""
        import numpy as np

        from components.evaluation.comparison import win_rates
        from components.models.denoiser import Denoiser
        from components.training.pretrain import network_of

        start = self.start()
        trained = Denoiser(network_of(start.transformer.config, weights, self.config.lora))
        asked, draw, judge = self._judging
        # One call for both: scores of several judges are standardised over the images of a call.
        scores = judge(np.concatenate([draw(start), draw(trained)]), [*asked, *asked])
        (rate,) = win_rates(dict(zip(("start", arm), np.split(scores, 2), strict=True)))
        return rate

    @cached_property
    def _judging(self) -> "tuple[list[Asked], Callable[[Denoiser], Images], Judge]":
        from flows.heldout_pictures import heldout_pictures
        from flows.judges import load_judge

        paths = {role: self._root / artifact.path for role, artifact in JUDGED.inputs.items()}
        params: Any = parse_block(JUDGED, read_blocks(self._root / PARAMS_FILE), Path(PARAMS_FILE))
        asked, draw = heldout_pictures(self._buckets, self._num_prompts, self.config.grid, self._autoencoder)
        return asked, draw, load_judge(paths["classifier"], paths["scorer"], params.judges)


def changed(config: PreferenceConfig, request: Request) -> PreferenceConfig:
    """The configured training with the number of pairs and the learning rate that are asked for."""
    rate = request.learning_rate or HASTE * config.optimiser.learning_rate
    optimiser = replace(config.optimiser, learning_rate=rate)
    return replace(config, optimiser=optimiser, num_pairs=request.num_pairs or config.num_pairs)


def write(folder: Path, table: str, figures: Mapping[str, Any], chart_u8: "np.ndarray") -> None:
    """Leave table, figures and chart in `folder`."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(table, encoding="utf-8")
    (folder / FIGURES).write_text(json.dumps(finite(figures), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    Image.fromarray(chart_u8).save(folder / CHART)


def finite(value: Any) -> Any:
    """`value` as JSON can say it: numbers that are not finite become null."""
    match value:
        case dict():
            return {str(name): finite(one) for name, one in cast(dict[Any, Any], value).items()}
        case list() | tuple():
            return [finite(one) for one in cast(Sequence[Any], value)]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
