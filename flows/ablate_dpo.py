"""`easel ablate dpo`: what the safeguards of preference training are worth, from the artifacts of a finished run.

Four trainings with the same pairs, start, steps, seeds and learning rate: the DPO term alone, with anchors, with the
winner-preserving scale, with both.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.training.config import PreferenceConfig
from flows import settings
from flows.ablations import Ablation, Progress, check_possible, open_ablation
from flows.parameters import PARAMS_FILE, parse_block, read_blocks
from flows.pipeline import PIPELINE

if TYPE_CHECKING:
    from torch import Tensor

    from components.evaluation.ablation import ArmResult
    from components.evaluation.comparison import WinRate
    from components.models.denoiser import Denoiser
    from components.preference.judges import Asked, Images, Judge
    from components.tracking import Run

    Weights = dict[str, Tensor]

Curves = dict[str, list[tuple[int, float]]]
NAME, CHART = "dpo", "errors.png"
STAGE, JUDGED = PIPELINE["dpo"], PIPELINE["evaluate"]
HASTE = 3.0
"""Times the learning rate of `dpo`, unless another is asked for: what runs away then does so within minutes."""


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
    """Train the four arms, leave table, figures, chart and grids, and return the figures.

    Raises:
        ValueError: an input is missing, or an option or the profile is not possible; one line says what to do.
    """
    check_possible(STAGE, root, profile)
    from components.evaluation.ablation import ablation_chart, arm_result, markdown_table
    from components.training.preference_ablation import ARMS, arm_configs

    trial = Trial(root, request, profile)
    with open_ablation(root, NAME, request, on_progress) as ablation:
        results: list[ArmResult] = []
        histories: dict[str, Curves] = {}
        for arm, config in arm_configs(trial.config, request.mu).items():
            with ablation.arm(arm, ARMS[arm], config) as run:
                histories[arm], weights, ended = trial.train(arm, config, run, ablation)
                judged = trial.judge(arm, weights) if weights is not None and request.num_prompts else None
                results.append(arm_result(arm, ARMS[arm], histories[arm], judged, ended))
        figures = {
            "request": asdict(request),
            "training": asdict(trial.config),
            "arms": [asdict(result) for result in results],
            "curves": histories,
        }
        return ablation.leave(markdown_table(results), figures, CHART, ablation_chart(ARMS, histories))


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

    def train(
        self, arm: str, config: PreferenceConfig, run: "Run", ablation: Ablation
    ) -> tuple[Curves, "Weights | None", str]:
        """What an arm reported, its weights (None where numbers broke), and why it ended early ("" if it did not)."""
        from components.training.preference_ablation import train_arm
        from components.training.reporting import Remembering

        incidents, report = settings.home(self._root) / "incidents", Remembering(run)
        done = train_arm(
            *(self._buckets, self._pairs, self.start(), self._autoencoder, config, self._execution, report, incidents),
            lambda grid_u8, seen: ablation.save_grid(arm if seen else "start", grid_u8),
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
