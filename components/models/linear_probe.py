"""Multinomial logistic regression on fixed features: fitted near its optimum, saved as safetensors and JSON.

The loss is convex, so the result depends on data and penalty only, not on a seed. Features are standardised for the
fit; the saved weights take the features as they are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from safetensors.numpy import load_file, save_file
from torch import nn

_STD_FLOOR = 1e-3


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
        return np.array(self.classes, dtype=object)[self.logits(features).argmax(axis=1)]


def fit_probe(
    features: Float[np.ndarray, "n d"], labels: Sequence[str], *, l2: float, classes: Sequence[str] | None = None
) -> LinearProbe:
    """The probe with the least mean cross-entropy + l2 / 2 * |weight|^2 (weights of the standardised features).

    ValueError if there is nothing to tell apart, or a label that is not among `classes`.
    """
    names = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
    unknown = sorted(set(labels) - set(names))
    if len(set(labels)) < 2 or unknown:
        raise ValueError(f"labels have {len(set(labels))} classes, unknown {unknown}; allowed: two or more of {names}")
    mean, std = features.astype(np.float64).mean(0), features.astype(np.float64).std(0) + _STD_FLOOR
    x = torch.from_numpy(((features - mean) / std).astype(np.float32))
    y = torch.tensor([names.index(label) for label in labels])
    weight = torch.zeros(len(names), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=100, tolerance_grad=1e-4, tolerance_change=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(x @ weight.T + bias, y) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # pyright: ignore[reportArgumentType]  # torch types the closure's result as float
    scaled = weight.detach().numpy() / std
    shifted = bias.detach().numpy() - scaled @ mean
    return LinearProbe(names, scaled.astype(np.float32), shifted.astype(np.float32))


def accuracy(probe: LinearProbe, features: Float[np.ndarray, "n d"], labels: Sequence[str]) -> float:
    """Share of rows whose most probable class is their label; 0 for no rows."""
    return float(np.mean(probe.predict(features) == np.array(labels, dtype=object))) if len(labels) else 0.0


@dataclass(frozen=True)
class Fitted:
    """A probe with what is known of it: scores on rows it never saw (and chance), and facts for its JSON."""

    probe: LinearProbe
    scores: dict[str, float]
    facts: dict[str, object]


def fit_and_test(
    sharp: Float[np.ndarray, "n d"],
    soft: Float[np.ndarray, "m d"],
    soft_rows: Int64[np.ndarray, " m"],
    labels: Sequence[str],
    is_heldout: Bool[np.ndarray, " n"],
    *,
    l2: float,
) -> Fitted:
    """A probe fitted on the rows not held out, with autoencoded copies of some, and its accuracy on the others.

    `soft` are the autoencoded versions of the rows `soft_rows`: they keep the probe from leaning on edges so fine that
    no generated picture has them. Chance is one over the number of classes.
    """
    names = np.array(labels, dtype=object)
    soft_names, is_soft_heldout = names[soft_rows], is_heldout[soft_rows]
    rows = np.concatenate([sharp[~is_heldout], soft[~is_soft_heldout]])
    probe = fit_probe(rows, [*names[~is_heldout], *soft_names[~is_soft_heldout]], l2=l2)
    scores = {
        "accuracy": accuracy(probe, sharp[is_heldout], names[is_heldout].tolist()),
        "accuracy_autoencoded": accuracy(probe, soft[is_soft_heldout], soft_names[is_soft_heldout].tolist()),
        "chance": 1 / len(probe.classes),
    }
    counts = {"num_train_rows": len(rows), "num_heldout_images": int(is_heldout.sum()), "l2": l2}
    return Fitted(probe, scores, {**scores, **counts})


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
    """The probe that `save_probe` wrote, and its facts."""
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / f"{name}.safetensors")
    return LinearProbe(tuple(facts.pop("classes")), arrays["weight"], arrays["bias"]), facts
