"""A language model's training on the core: it learns, resumes exactly, and does not depend on how a step is cut."""

import math
import threading
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from kept_report import KeptReport

from components.models.config import LoraShape
from components.models.language_config import LanguageShape
from components.models.language_model import LanguageModel, TokenRows, add_adapters, build_language_model
from components.training import language_training as training
from components.training.checkpoint_store import CheckpointStore
from components.training.config import Execution, OptimiserConfig
from components.training.consumed import CONSUMED, effective, read_consumed
from components.training.fit import Surroundings
from components.training.language_config import LanguageTraining

SHAPE = LanguageShape(24, 32, 2, 2, 2, 16, 48, 10_000.0, 64, 0.1)
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
NUM_ROWS, LENGTH = 12, 20


class Notes(KeptReport):
    def log_image(self, key, image_u8, step=0):
        raise AssertionError("a language model draws nothing")


def rows(seed: int) -> TokenRows:
    """Texts that say after a mark what they said before it, so that something is to be learned; answers vary."""
    generator = torch.Generator().manual_seed(seed)
    said = torch.randint(4, 24, (NUM_ROWS, LENGTH // 2), generator=generator)
    tokens = torch.cat([said, torch.full((NUM_ROWS, 1), 2), said[:, :-1]], dim=1)
    is_answer = torch.arange(LENGTH).expand(NUM_ROWS, -1) > LENGTH // 2
    is_answer = is_answer & (torch.arange(LENGTH) < LENGTH - torch.arange(NUM_ROWS)[:, None] % 5)
    return TokenRows(tokens, torch.arange(LENGTH).repeat(NUM_ROWS, 1), torch.ones(tokens.shape, dtype=int), is_answer)


def config(**changes) -> LanguageTraining:
    settings = {
        "num_rows": 40,
        "batch_size": 4,
        "max_tokens": LENGTH,
        "optimiser": OptimiserConfig(1e-2, (0.9, 0.95), 0.01, 1.0, 2, 0.3, "linear"),
        "ema_decay": 0.9,
        "precision": "32-true",
        "lora": None,
        "held_out_every_rows": 20,
        "seed": 0,
    }
    return LanguageTraining(**(settings | changes))


@pytest.fixture
def model() -> LanguageModel:
    return LanguageModel(build_language_model(SHAPE, 0, special=SPECIAL)).train()


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(model, settings, folder, execution=None, checkpoints=None) -> tuple[training.Learned, Notes]:
    notes = Notes()
    source = training.RowSource(rows(0), [f"row{n}" for n in range(NUM_ROWS)], settings.batch_size, seed=settings.seed)
    surroundings = Surroundings(notes, folder / "incidents", checkpoints)
    return training.learn(model, source, rows(1), settings, execution or Execution("cpu"), surroundings), notes


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_it_learns_its_rows_and_tells_the_held_out_perplexity(model, tmp_path):
    settings = config(num_rows=600, optimiser=OptimiserConfig(1e-2, (0.9, 0.95), 0.0, 1.0, 10, 0.5, "linear"))
    learned, notes = run(model, settings, tmp_path)
    assert learned.rows_seen == 600
    assert learned.final_loss < 0.3
    told = [(step, found["held_out/perplexity"]) for step, found in notes.metrics if "held_out/perplexity" in found]
    assert [step for step, _ in told] == list(range(0, 601, 20))
    assert told[0][1] == pytest.approx(learned.perplexity_before)
    assert told[-1][1] == pytest.approx(learned.perplexity_after)
    assert learned.perplexity_before == pytest.approx(24, rel=0.3)


def test_the_mean_loss_is_over_all_answers(model):
    held_out = rows(1)
    logits = model.network(held_out.tokens).logits[:, :-1]
    target = torch.where(held_out.is_answer, held_out.tokens, -100)[:, 1:]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
    assert training.mean_loss(model, held_out) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_rows_come_in_permutations_and_weigh_by_their_answers():
    source = training.RowSource(rows(0), [f"row{n}" for n in range(NUM_ROWS)], 4, seed=0)
    names = [name for step in source.sample_ids(0, 24) for name in step]
    assert sorted(names[:12]) == sorted(names[12:]) == sorted(f"row{n}" for n in range(NUM_ROWS))
    halves = [source.at(0, 2), source.at(2, 2)]
    whole = source.at(0, 4)
    assert [half.tokens_per_part for half in halves] == [whole.tokens_per_part / 2] * 2
    assert whole.tokens_per_part == float(whole.packed.is_answer.sum())
    assert (*halves[0].sample_ids, *halves[1].sample_ids) == whole.sample_ids
    with pytest.raises(ValueError, match="no row"):
        training.RowSource(training.rows_of(rows(0), torch.arange(0)), [], 4, seed=0)


@pytest.mark.parametrize("micro", [1, 2])
def test_micro_batches_of_unequal_answers_are_one_batch(model, tmp_path, micro):
    one, _ = run(deepcopy(model), config(), tmp_path)
    parts, _ = run(model, config(), tmp_path, Execution("cpu", micro_batch=micro))
    for name, value in one.raw.items():
        torch.testing.assert_close(parts.raw[name], value, rtol=1e-3, atol=2e-5)


class Killed(BaseException):
    """What no part of the training catches."""


@pytest.mark.parametrize(("kills", "lora"), [((4,), None), ((3, 5, 8), None), ((5,), LoraShape(2, 4, ("q_proj",)))])
def test_killed_and_continued_it_is_bit_equal_to_one_that_was_not(model, tmp_path, monkeypatch, kills, lora):
    if lora is not None:
        torch.manual_seed(0)
        add_adapters(model.network, lora)
    settings = config(lora=lora)
    whole, _ = run(deepcopy(model), settings, tmp_path)
    execution, calls = Execution("cpu", checkpoint_every_steps=2), []
    loss = training.answer_loss

    def killing(*args):
        calls.append(1)
        if len(calls) in kills:
            raise Killed
        return loss(*args)

    monkeypatch.setattr(training, "answer_loss", killing)
    for _ in kills:
        with pytest.raises(Killed):
            run(deepcopy(model), settings, tmp_path, execution, CheckpointStore(tmp_path / "kept", {"run": 1}))
        for thread in [one for one in threading.enumerate() if one.name == "checkpoint-writer"]:
            thread.join()
    continued, _ = run(model, settings, tmp_path, execution, CheckpointStore(tmp_path / "kept", {"run": 1}))
    assert_equal(continued.raw, whole.raw)
    assert_equal(continued.averaged, whole.averaged)
    told = (replace(one, raw={}, averaged={}, rows_per_s=0.0) for one in (continued, whole))
    assert next(told) == next(told)
    assert not math.isnan(continued.perplexity_before)
    pieces = effective(read_consumed(tmp_path / "kept" / CONSUMED))
    assert [place for piece in pieces for place in range(piece.start, piece.stop)] == list(range(40))


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="at least a batch"):
        config(num_rows=3)
