"""`easel ablate distill`: what a committee of teachers is worth, from the artifacts of a finished run.

Four distillations of the same prompts, start, steps, seeds and rates: as declared, taught by the general teacher alone,
with one table of weights for both roles, and on noised real data in place of the student's own roll-out.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import distillations, settings
from flows.ablations import Ablation, Progress, check_possible, open_ablation
from flows.parameters import PARAMS_FILE, parse_block, read_blocks
from flows.pipeline import PIPELINE

if TYPE_CHECKING:
    from components.evaluation.drift_table import DriftResult, Looks
    from components.models.committee import Distilled
    from components.objectives.committee import CommitteeConfig
    from components.tracking import Run
    from components.training.distill_config import DistillConfig

NAME, CHART = "distill", "drift.png"
STAGE = PIPELINE["distill"]


@dataclass(frozen=True)
class Request:
    """What differs from the `distill` block; None: its own number of updates of the student."""

    num_student_updates: int | None = None


def ablate_distill(root: Path, request: Request, profile: settings.Profile, on_progress: Progress) -> dict[str, Any]:
    """Train the four arms, leave table, figures, chart and grids, and return the figures.

    Raises:
        ValueError: an input is missing, or an option or the profile is not possible; one line says what to do.
    """
    check_possible(STAGE, root, profile)
    from components.evaluation.drift_table import ablation_drift_chart, drift_markdown, drift_result
    from components.training.distillation_ablation import ARMS, arm_configs

    trial = Trial(root, profile)
    configs = arm_configs(trial.config, request.num_student_updates or trial.config.num_student_updates)
    with open_ablation(root, NAME, request, on_progress) as ablation:
        results: list[DriftResult] = []
        looks: dict[str, Looks] = {}
        for arm, config in configs.items():
            with ablation.arm(arm, ARMS[arm], config) as run:
                looks[arm], ended = trial.train(arm, config, run, ablation)
                results.append(drift_result(arm, ARMS[arm], looks[arm], ended))
        figures = {
            "request": asdict(request),
            "training": asdict(configs["committee"]),
            "arms": [asdict(result) | {"worst": result.worst} for result in results],
            "looks": {arm: list(of_arm) for arm, of_arm in looks.items()},
        }
        return ablation.leave(drift_markdown(results), figures, CHART, ablation_drift_chart(ARMS, looks))


class Trial:
    """What the arms have in common, read once: prompts, experts, judges, and what these say of the teacher."""

    def __init__(self, root: Path, profile: settings.Profile) -> None:
        from components.models.autoencoder import load_autoencoder

        paths = {role: root / artifact.path for role, artifact in STAGE.inputs.items()}
        self._root, self._execution = root, profile.execution
        self._params: Any = parse_block(STAGE, read_blocks(root / PARAMS_FILE), Path(PARAMS_FILE))
        self.config: DistillConfig = self._params.training
        self._init = paths["init"]
        self._experts = {role: path for role, path in paths.items() if role in self.config.committee.experts}
        self._prompts = distillations.read_prompts(
            paths["curated"], paths["sft_selection"], paths["latents"], paths["autoencoder"], self._params.px
        )
        distillations.check(self.config, self._execution, self._prompts, self._experts)
        self._decoder = load_autoencoder(paths["autoencoder"])
        self._examine, of_teacher = distillations.comparison(
            self._params.pictures, self.config, self._prompts, paths["classifier"], paths["scorer"], self._decoder
        )
        start = self.start(self.config)
        self._teacher = of_teacher(start)
        self.config = replace(self.config, committee=self._fitted(start), router=None)

    def start(self, config: "DistillConfig") -> "Distilled":
        """A student that has not been trained yet, with its committee."""
        return distillations.build(self._init, self._experts, self._params.model, config, self._prompts)

    def _fitted(self, start: "Distilled") -> "CommitteeConfig":
        """The committee as the stage would fit it, which the arms then take parts from."""
        from components.training.routing_fit import fit_router

        data = self._prompts
        return fit_router(start, data.curated, data.earlier, data.domain_of, self.config)

    def train(self, arm: str, config: "DistillConfig", run: "Run", ablation: Ablation) -> "tuple[Looks, str]":
        """The looks at an arm's student, and why it ended early ("" if it did not)."""
        from components.training.distillation_ablation import train_arm

        return train_arm(
            *(self._prompts.curated, self._prompts.earlier, self._prompts.domain_of, self.start(config)),
            *(self._decoder, config, self._execution, run, settings.home(self._root) / "incidents"),
            *(self._examine, self._teacher),
            lambda grid_u8, seen: ablation.save_grid(arm if seen else "start", grid_u8),
        )
