"""Multinomial logistic regression on fixed features: fitted near its optimum, saved as safetensors and JSON.

The loss is convex, so the result depends on data and penalty only. Few classes are fitted by L-BFGS on all rows at
once, many in batches, whose logits fit in memory whatever the number of rows. Features are standardised for the fit;
the saved weights take the features as they are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

_STD_FLOOR = 1e-3
_MAX_LOGITS = 1 << 26  # of all rows at once: 256 MiB in float32; beyond, rows go in batches
_BATCH_ROWS, _EPOCHS, _MIN_STEPS, _LEARNING_RATE = 1024, 30, 600, 0.02


@dataclass(frozen=True)
class LinearProbe:
    """`softmax(features @ weight.T + bias)` over `classes`."""

    classes: tuple[str, ...]
    weight: Float32[np.ndarray, "k d"]
    bias: Float32[np.ndarray, " k"]

    def logits(self, features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n k"]:
        """Unnormalised log probabilities."""
        return features.astype(np.float32) @ self.weight.T + self.bias

    def margin(self, features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, " n"]:
        """Log odds of the first class against the second; ValueError unless there are two."""
        if len(self.classes) != 2:
            raise ValueError(f"{len(self.classes)} classes; allowed: 2")
        logits = self.logits(features)
        return logits[:, 0] - logits[:, 1]

    def predict_proba(self, features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n k"]:
        """Probabilities of the classes; each row sums to 1."""
        logits = self.logits(features)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def predict(self, features: Float[np.ndarray, "n d"]) -> np.ndarray:
        """The most probable class of each row, as text."""
        return self.guess(features)[0]

    def guess(self, features: Float[np.ndarray, "n d"]) -> tuple[np.ndarray, Float32[np.ndarray, " n"]]:
        """The most probable class of each row, as text, and its probability; in blocks of bounded memory."""
        best, probability = np.zeros(len(features), np.int64), np.zeros(len(features), np.float32)
        for start in range(0, len(features), _BATCH_ROWS):
            block = self.predict_proba(features[start : start + _BATCH_ROWS])
            best[start : start + len(block)] = block.argmax(axis=1)
            probability[start : start + len(block)] = block.max(axis=1)
        return np.array(self.classes, dtype=object)[best], probability

    def tempered(self, temperature: float) -> "LinearProbe":
        """The probe whose logits are divided by `temperature`: the same classes, surer below 1, less sure above."""
        return LinearProbe(self.classes, self.weight / np.float32(temperature), self.bias / np.float32(temperature))


def fit_probe(
    features: Float[np.ndarray, "n d"],
    labels: Sequence[str],
    *,
    l2: float,
    classes: Sequence[str] | None = None,
    max_logits: int = _MAX_LOGITS,
) -> LinearProbe:
    """The probe with the least mean cross-entropy + l2 / 2 * |weight|^2 (weights of the standardised features).

    Up to `max_logits` = rows x classes the minimum is found exactly, beyond it approached in batches, in memory that
    does not grow with the rows (in a fixed order, so that equal data give equal weights).
    ValueError if there is nothing to tell apart, or a label that is not among `classes`.
    """
    names = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
    unknown = sorted(set(labels) - set(names))
    if len(set(labels)) < 2 or unknown:
        raise ValueError(f"labels have {len(set(labels))} classes, unknown {unknown}; allowed: two or more of {names}")
    number_of = {name: number for number, name in enumerate(names)}
    y = torch.tensor([number_of[label] for label in labels])
    mean, std = _mean_std(features)
    problem = _Problem(features, y, len(names), mean, std, l2)
    weight, bias = (_fit_at_once if len(features) * len(names) <= max_logits else _fit_in_batches)(problem)
    scaled = weight / std
    shifted = bias - scaled @ mean
    return LinearProbe(names, scaled.numpy().astype(np.float32), shifted.numpy().astype(np.float32))


def accuracy(probe: LinearProbe, features: Float[np.ndarray, "n d"], labels: Sequence[str]) -> float:
    """Share of rows whose most probable class is their label; 0 for no rows."""
    return float(np.mean(probe.predict(features) == np.array(labels, dtype=object))) if len(labels) else 0.0


def fit_preference(
    better: Float[np.ndarray, "n d"], worse: Sequence[Float[np.ndarray, "m d"]], *, l2: float
) -> LinearProbe:
    """A two-class probe of better rows against worse ones; its `margin` ranks."""
    rows = np.concatenate([better, *worse])
    labels = ["better"] * len(better) + ["worse"] * (len(rows) - len(better))
    return fit_probe(rows, labels, l2=l2, classes=("better", "worse"))


def save_probe(probe: LinearProbe, folder: Path, name: str, facts: Mapping[str, object]) -> None:
    """Write `name`.safetensors and `name`.json (the classes, and what should be known of the probe) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"weight": probe.weight, "bias": probe.bias}, folder / f"{name}.safetensors")
    text = json.dumps({"classes": list(probe.classes), **facts}, indent=2, sort_keys=True)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def load_probe(folder: Path, name: str) -> tuple[LinearProbe, dict[str, object]]:
    """The probe that `save_probe` wrote, and its facts; ValueError if there is none of that name."""
    if not (folder / f"{name}.json").is_file():
        raise ValueError(f"{folder}: has no classifier of {name}; too few images were labelled to fit one")
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / f"{name}.safetensors")
    return LinearProbe(tuple(facts.pop("classes")), arrays["weight"], arrays["bias"]), facts


def _mean_std(features: Float[np.ndarray, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Mean and deviation of each feature, in blocks; float64."""
    total, squares = torch.zeros(features.shape[1], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    middle = torch.from_numpy(features[:_BATCH_ROWS].astype(np.float64)).mean(0)  # near the mean: nothing cancels
    for start in range(0, len(features), _BATCH_ROWS):
        block = torch.from_numpy(features[start : start + _BATCH_ROWS].astype(np.float64)) - middle
        total, squares = total + block.sum(0), squares + block.square().sum(0)
    shift = total / len(features)
    return middle + shift, (squares / len(features) - shift.square()).clamp_min(0).sqrt() + _STD_FLOOR


_Weights = tuple[Float[Tensor, "k d"], Float[Tensor, " k"]]


@dataclass(frozen=True)
class _Problem:
    """Rows and the numbers of their classes; the loss is of rows that are standardised."""

    features: Float[np.ndarray, "n d"]
    y: Int64[Tensor, " n"]
    num_classes: int
    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]
    l2: float

    def start(self) -> _Weights:
        """Weight and bias of zeros."""
        weight = torch.zeros(self.num_classes, self.features.shape[1], requires_grad=True)
        return weight, torch.zeros(self.num_classes, requires_grad=True)

    def rows(self, chosen: Int64[np.ndarray, " m"] | slice) -> tuple[Float[Tensor, "m d"], Int64[Tensor, " m"]]:
        """The chosen rows, standardised, and their classes."""
        x = torch.from_numpy(self.features[chosen].astype(np.float32))
        return (x - self.mean.float()) / self.std.float(), self.y[chosen]

    def loss(self, x: Float[Tensor, "m d"], y: Int64[Tensor, " m"], weights: _Weights) -> Float[Tensor, ""]:
        """Mean cross-entropy of `x`, and the penalty."""
        weight, bias = weights
        return nn.functional.cross_entropy(x @ weight.T + bias, y) + self.l2 / 2 * weight.square().sum()


def _fit_at_once(problem: _Problem) -> _Weights:
    x, y = problem.rows(slice(None))
    weights = problem.start()
    optimiser = torch.optim.LBFGS(
        weights, max_iter=100, tolerance_grad=1e-4, tolerance_change=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = problem.loss(x, y, weights)
        loss.backward()
        return loss

    optimiser.step(closure)  # pyright: ignore[reportArgumentType]  # torch types the closure's result as float
    return _detached(weights)


def _fit_in_batches(problem: _Problem) -> _Weights:
    weights, num_rows = problem.start(), len(problem.features)
    num_batches = -(-num_rows // _BATCH_ROWS)
    epochs = max(_EPOCHS, -(-_MIN_STEPS // num_batches))
    optimiser = torch.optim.Adam(weights, lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, epochs * num_batches)
    order = np.random.default_rng(0)
    for _ in range(epochs):
        for rows in np.array_split(order.permutation(num_rows), num_batches):
            loss = problem.loss(*problem.rows(rows), weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return _detached(weights)


def _detached(weights: _Weights) -> _Weights:
    weight, bias = weights
    return weight.detach().double(), bias.detach().double()
