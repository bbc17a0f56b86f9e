"""Classifiers with their credentials: a linear probe, what it reached on images it never saw, and how sure it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64

from components.models.calibration import calibrate
from components.models.linear_probe import LinearProbe, accuracy, fit_probe, save_probe

NOT_FITTED = {
    "accuracy": 0.0,
    "accuracy_autoencoded": 0.0,
    "chance": 1.0,
    "temperature": 1.0,
    "calibration_error_raw": 0.0,
    "calibration_error": 0.0,
}


@dataclass(frozen=True)
class Examples:
    """Labelled rows of features; `soft` are the autoencoded versions of the rows `soft_rows`.

    Rows held out are not fitted to; `is_first` halves them, so that one half can check what was chosen on the other.
    """

    sharp: Float[np.ndarray, "n d"]
    soft: Float[np.ndarray, "m d"]
    soft_rows: Int64[np.ndarray, " m"]
    is_heldout: Bool[np.ndarray, " n"]
    is_first: Bool[np.ndarray, " n"]

    def of(self, is_wanted: Bool[np.ndarray, " n"]) -> "Examples":
        """The examples of some of the rows."""
        is_soft = is_wanted[self.soft_rows]
        soft_rows = (np.cumsum(is_wanted) - 1)[self.soft_rows[is_soft]]
        held, first = self.is_heldout[is_wanted], self.is_first[is_wanted]
        return Examples(self.sharp[is_wanted], self.soft[is_soft], soft_rows, held, first)


@dataclass(frozen=True)
class Judge:
    """A calibrated probe, its scores on the rows held out, and what it saw in each of them."""

    probe: LinearProbe
    scores: dict[str, float]
    facts: dict[str, object]
    heldout_seen_as: np.ndarray


def fit_judges(examples: Examples, labels: Mapping[str, np.ndarray], *, l2: float) -> dict[str, Judge]:
    """A judge for each name in `labels` (one label per row, "" where there is none) that has enough of them.

    Enough: two classes to fit, and a row to test on.
    """
    fitted = dict[str, Judge]()
    for name, of_rows in labels.items():
        is_labelled = of_rows != ""
        some, texts = examples.of(is_labelled), of_rows[is_labelled]
        if some.is_heldout.any() and len(set(texts[~some.is_heldout])) >= 2:
            fitted[name] = fit_judge(some, texts.tolist(), l2=l2)
    return fitted


def save_judges(fitted: Mapping[str, Judge], folder: Path, facts: Mapping[str, object]) -> None:
    """Write each judge, and what it reached, into `folder`, which is made even if there are none."""
    folder.mkdir(parents=True)
    for name, judge in fitted.items():
        save_probe(judge.probe, folder, name, {**facts, **judge.facts})


def scores(fitted: Mapping[str, Judge], names: Sequence[str]) -> dict[str, float]:
    """The scores of each of `names` as `name_score`; of one that was not fitted, those that stand for that."""
    score_of = {name: fitted[name].scores if name in fitted else NOT_FITTED for name in names}
    return {f"{name}_{key}": value for name, one in score_of.items() for key, value in one.items()}


def fit_judge(examples: Examples, labels: Sequence[str], *, l2: float) -> Judge:
    """A probe fitted on the rows not held out and the autoencoded copies of some, tested and calibrated on the others.

    The copies keep it from leaning on edges so fine that no generated picture has them. Chance is one over the number
    of classes. A held-out class that was never shown counts as an error, and not for the calibration.
    """
    names = np.array(labels, dtype=object)
    held = examples.is_heldout
    soft_names, is_soft_held = names[examples.soft_rows], held[examples.soft_rows]
    rows = np.concatenate([examples.sharp[~held], examples.soft[~is_soft_held]])
    probe = fit_probe(rows, [*names[~held], *soft_names[~is_soft_held]], l2=l2)
    number_of = {name: number for number, name in enumerate(probe.classes)}
    known = np.flatnonzero(held & np.isin(names, probe.classes))
    numbers = np.array([number_of[name] for name in names[known]], np.int64)
    calibration = calibrate(probe.logits(examples.sharp[known]), numbers, examples.is_first[known])
    probe = probe.tempered(calibration.temperature)
    scores = {
        "accuracy": accuracy(probe, examples.sharp[held], names[held].tolist()),
        "accuracy_autoencoded": accuracy(probe, examples.soft[is_soft_held], soft_names[is_soft_held].tolist()),
        "chance": 1 / len(probe.classes),
        "temperature": calibration.temperature,
        "calibration_error_raw": calibration.error_raw,
        "calibration_error": calibration.error,
    }
    counts = {"num_train_rows": len(rows), "num_heldout_images": int(held.sum()), "l2": l2}
    return Judge(probe, scores, {**scores, **counts}, probe.predict(examples.sharp[held]))
