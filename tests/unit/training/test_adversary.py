"""The adversarial part of distillation's turns: it adds terms and nothing else, and gradients stay in their turn."""

from dataclasses import replace

import pytest
import torch
from tiny_distillation import ADVERSARIAL, DISTILL, DOMAINS, LORA, save_committee, tiny_distilled
from tiny_training import TEXT_DIM, TINY, tiny_store

from components.data.buckets import Bucket
from components.models.denoiser import pad_states
from components.models.discriminator import FeatureHead
from components.paths.interpolant import interpolate
from components.training.adversary import misled_term
from components.training.batches import BatchSource
from components.training.distillation import DistillationObjective

FAKE_STEP, STUDENT_STEP = 3, 5


def outcomes(folder, config, *, step, head=None):
    """The outcome of a step's batch by a model with a copy of the head, if any; and that model."""
    model = tiny_distilled(folder, save_committee(folder), student=config.student, has_head=head is not None)
    if head is not None:
        model.head.load_state_dict(head.state_dict())
    source = BatchSource({Bucket(32, 32): tiny_store()}, config.batch, seed=0)
    batch = source.at(step * config.batch.batch_size, config.batch.batch_size)
    empty = torch.zeros(1, TEXT_DIM)
    return DistillationObjective(config, DOMAINS, empty)(model, batch), model


def shaken_head():
    """A head that has an opinion."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        head = FeatureHead(TINY.hidden_size, TINY.hidden_size)
        torch.nn.init.normal_(head.last.weight)
    return head


@pytest.mark.parametrize("step", [FAKE_STEP, STUDENT_STEP])
def test_a_head_leaves_the_other_terms_as_they_were(tmp_path, step):
    without, _ = outcomes(tmp_path, DISTILL, step=step)
    with_head, _ = outcomes(tmp_path, ADVERSARIAL, step=step, head=shaken_head())
    for name, term in without.terms.items():
        assert torch.equal(with_head.terms[name], term)
    assert set(with_head.terms) - set(without.terms) == (
        {"head_real", "head_fake", "head_r1"} if step == FAKE_STEP else {"misled"}
    )


@pytest.mark.parametrize("student", [None, LORA])
def test_gradients_of_the_head_stay_in_their_turn(tmp_path, student):
    config = replace(ADVERSARIAL, student=student)
    for step, own in ((FAKE_STEP, "head."), (STUDENT_STEP, "")):
        outcome, model = outcomes(tmp_path, config, step=step, head=shaken_head())
        sum(term for name, term in outcome.terms.items() if name not in ("fake", "student")).backward()
        moved = {name for name, w in model.named_parameters() if w.grad is not None and bool(w.grad.any())}
        assert moved
        assert moved <= (set(model.student_weights()) if step == STUDENT_STEP else set(model.fake_weights()))
        assert all(name.startswith(own) for name in moved)


def test_the_students_gradient_is_that_of_its_term(tmp_path):
    """Against a finite difference, and against the head's loss on hand-noised data."""
    model = tiny_distilled(tmp_path, save_committee(tmp_path), has_head=True)
    model.head.load_state_dict(shaken_head().state_dict())
    random = torch.Generator().manual_seed(3)
    x_hat, eps, along = torch.randn(3, 2, *tiny_store().latents.shape[1:], generator=random)
    t, condition = torch.tensor([0.3, 0.7]), pad_states(list(torch.randn(2, 5, TEXT_DIM, generator=random)))

    def term(x):
        return misled_term(ADVERSARIAL.adversarial, model, condition, x, t, eps)

    x_hat.requires_grad_()
    value = term(x_hat)
    value.backward()
    noised = interpolate(x_hat.detach(), eps, t)
    logits = model.head(model.committee.features(ADVERSARIAL.adversarial.block, noised, t, condition))
    torch.testing.assert_close(value, 0.5 * torch.log1p(torch.exp(-logits)).mean())
    ends = [float(term(x_hat.detach() + h * along).detach()) for h in (0.01, -0.01)]
    assert (ends[0] - ends[1]) / 0.02 == pytest.approx(float((x_hat.grad * along).sum()), rel=1e-2)
    assert not any(bool(weight.grad.any()) for weight in model.parameters() if weight.grad is not None)
