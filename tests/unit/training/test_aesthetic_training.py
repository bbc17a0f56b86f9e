"""A head's training on the core: it finds a planted taste, resumes exactly, and does not depend on a step's cut."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from kept_report import KeptReport
from scipy.stats import spearmanr

from components.models.score_head import ScoreHead, identity_head, score
from components.objectives.aesthetic_config import AestheticLoss
from components.training import aesthetic_training as training
from components.training.aesthetic_config import AestheticTraining
from components.training.checkpoint_store import CheckpointStore
from components.training.config import Execution, OptimiserConfig
from components.training.fit import Surroundings

D = 12


def rated(n: int, seed: int) -> training.Rated:
    """Pictures whose taste is one direction among features of very different sizes."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, D))
    scores = 100 / (1 + np.exp(-2 * features[:, 0]))
    return training.Rated((features * np.logspace(-1, 2, D) + 5).astype(np.float32), scores)


def comparisons(data: training.Rated, seed: int = 0) -> training.Comparisons:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(len(data.scores)) for _ in range(2)], axis=1).astype(np.int64)
    first, second = data.scores[rows].T
    return training.Comparisons(rows, np.where(first == second, 0.5, first > second))


def config(**changes) -> AestheticTraining:
    settings = {
        "num_pairs": 80,
        "batch_size": 8,
        "loss": AestheticLoss(6.0, 0.5, 10.0),
        "optimiser": OptimiserConfig(0.02, (0.9, 0.99), 0.0, 10.0, 2, 0.5, "linear"),
        "ema_decay": 0.9,
        "held_out_every_pairs": 40,
        "seed": 0,
    }
    return AestheticTraining(**(settings | changes))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(settings, folder, execution=None, checkpoints=None, start=None):
    notes, data = KeptReport(), rated(120, 0)
    source = training.ComparisonSource(data, comparisons(data), settings.batch_size, seed=settings.seed)
    surroundings = Surroundings(notes, folder / "incidents", checkpoints)
    execution = execution or Execution("cpu")
    return training.learn(source, data, rated(60, 1), start, settings, execution, surroundings), notes


def test_it_finds_a_planted_taste(tmp_path):
    learned, notes = run(config(num_pairs=6400, batch_size=16, held_out_every_pairs=3200), tmp_path)
    unseen = rated(200, 2)
    expected, _ = score(learned.head, unseen.features)
    assert spearmanr(expected, unseen.scores).statistic > 0.95
    told = [found["held_out/levels"] for _, found in notes.metrics if "held_out/levels" in found]
    assert told[0] == pytest.approx(np.log(101), rel=1e-4)  # knowing nothing
    assert (told[0], told[-1]) == (learned.held_out_before, learned.held_out_after)
    assert learned.held_out_after < 0.9 * learned.held_out_before


def test_comparisons_come_in_permutations():
    data = rated(12, 0)
    source = training.ComparisonSource(data, comparisons(data), 4, seed=0)
    names = [name for step in source.sample_ids(0, 24) for name in step]
    assert sorted(names[:12]) == sorted(names[12:])
    batch = source.at(4, 4)
    place = int(batch.sample_ids[1])
    rows = comparisons(data).rows[place]
    np.testing.assert_array_equal(batch.features[1].numpy(), data.features[rows])
    np.testing.assert_allclose(batch.scores[1].numpy(), data.scores[rows], rtol=1e-6)


def test_bad_comparisons_are_refused():
    data = rated(12, 0)
    none = training.Comparisons(np.zeros((0, 2), np.int64), np.zeros(0))
    with pytest.raises(ValueError, match="no comparison"):
        training.ComparisonSource(data, none, 4, seed=0)
    with pytest.raises(ValueError, match="beyond the 12"):
        training.ComparisonSource(data, training.Comparisons(np.array([[0, 12]]), np.ones(1)), 4, seed=0)
    with pytest.raises(ValueError, match="at least a batch"):
        config(num_pairs=4)


def test_micro_batches_are_one_batch(tmp_path):
    one, _ = run(config(), tmp_path)
    parts, _ = run(config(), tmp_path, Execution("cpu", micro_batch=2))
    np.testing.assert_allclose(parts.head.weight, one.head.weight, rtol=1e-3, atol=1e-4)


class Killed(BaseException):
    """What no part of the training catches."""


@pytest.mark.parametrize("kills", [(4,), (3, 5, 8)])
def test_killed_and_continued_it_is_bit_equal_to_one_that_was_not(tmp_path, monkeypatch, kills):
    whole, _ = run(config(), tmp_path)
    execution, calls, judge = Execution("cpu", checkpoint_every_steps=2), [], training.judge

    def killing(*args):
        calls.append(1)
        if len(calls) in kills:
            raise Killed
        return judge(*args)

    monkeypatch.setattr(training, "judge", killing)
    for _ in kills:
        with pytest.raises(Killed):
            run(config(), tmp_path, execution, CheckpointStore(tmp_path / "kept", {"run": 1}))
    continued, _ = run(config(), tmp_path, execution, CheckpointStore(tmp_path / "kept", {"run": 1}))
    np.testing.assert_array_equal(continued.head.weight, whole.head.weight)
    np.testing.assert_array_equal(continued.head.bias, whole.head.bias)
    assert replace(continued, head=whole.head, pairs_per_s=0) == replace(whole, pairs_per_s=0)


def test_it_goes_on_from_the_head_of_a_model_that_scores_by_tokens():
    logits = np.random.default_rng(0).normal(0, 2, (40, 101)).astype(np.float32)
    head = training.new_head(training.Rated(logits, np.zeros(40)), identity_head())
    assert isinstance(head, ScoreHead)
    np.testing.assert_allclose(score(head.probe(), logits)[0], score(identity_head(), logits)[0], atol=1e-3)
