"""Distillation of a tiny network: whose turn it is, what each turn changes, and that a kill changes nothing."""

from dataclasses import replace

import pytest
import torch
from kept_report import KeptReport
from tiny_distillation import ADVERSARIAL, DISTILL, DOMAINS, LORA, save_committee, tiny_distilled
from tiny_training import tiny_store

from components.data.buckets import Bucket
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig
from components.objectives.routing_config import RouterFit
from components.training import distillation
from components.training.checkpoint_store import CheckpointStore
from components.training.config import Execution
from components.training.distillation import DistillationObjective, check_execution, distill
from components.training.fit import Surroundings


@pytest.fixture
def autoencoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval()


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """Grids need the real text encoder, whose token states are wider than this network's; they are tested elsewhere."""
    monkeypatch.setattr(distillation, "report_grid", lambda *_: lambda *_: None)
    monkeypatch.setattr(distillation, "grid_drawer", lambda *_: None)


TEACHER = {"all/alignment": 0.5, "poster/alignment": 0.4, "all/diversity": 1.0}


def run(autoencoder, folder, config=DISTILL, *, model=None, examine=lambda _: dict(TEACHER), store=None, every=2):
    notes = KeptReport()
    model = model or tiny_distilled(
        *(folder, save_committee(folder)),
        student=config.student,
        fake=config.fake,
        has_head=config.adversarial is not None,
    )
    buckets = {Bucket(32, 32): tiny_store()}
    trained = distill(
        *(buckets, buckets, DOMAINS, model, autoencoder, config, Execution("cpu", checkpoint_every_steps=every)),
        *(Surroundings(notes, folder / "incidents", store), examine, TEACHER, lambda *_: None),
    )
    return trained, notes, model


def test_turns_follow_the_step():
    assert [DISTILL.turn(step)[0] for step in range(DISTILL.num_steps)] == list("cccffsffsffsffs")
    assert [DISTILL.updates_before(step) for step in range(9)] == [0, 1, 2, 0, 1, 0, 2, 3, 1]
    assert [DISTILL.student_updates_before(step) for step in (0, 3, 5, 6, 8, 9, 15)] == [0, 0, 0, 1, 1, 2, 4]


@pytest.mark.parametrize("config", [DISTILL, ADVERSARIAL, replace(ADVERSARIAL, student=LORA)])
def test_each_turn_changes_its_own_network_only(autoencoder, tmp_path, monkeypatch, config):
    seen: list[tuple[str, set[str]]] = []
    step = distillation.DistillationModule.optimizer_step

    def watched(self, *args, **kwargs):
        before = {name: weight.clone() for name, weight in self.denoiser.named_parameters()}
        turn = self.turn
        step(self, *args, **kwargs)
        seen.append((turn, {name for name, w in self.denoiser.named_parameters() if not torch.equal(w, before[name])}))

    monkeypatch.setattr(distillation.DistillationModule, "optimizer_step", watched)
    _, _, model = run(autoencoder, tmp_path, config)
    student, fake = set(model.student_weights()), set(model.fake_weights())
    assert [turn for turn, _ in seen] == [DISTILL.turn(step) for step in range(DISTILL.num_steps)]
    for turn, changed in seen:
        assert changed, turn
        assert changed <= (fake if turn == "fake" else student)
        has_head = any(name.startswith("head.") for name in changed)
        assert has_head == (turn == "fake" and config.adversarial is not None)
    assert all(not weight.requires_grad for name, weight in model.named_parameters() if name not in student | fake)


@pytest.mark.parametrize("kills", [(2,), (4, 6, 11)])
@pytest.mark.parametrize("config", [DISTILL, replace(DISTILL, student=LORA), ADVERSARIAL])
def test_killed_and_continued_it_is_bit_equal_to_one_that_was_not(autoencoder, tmp_path, monkeypatch, kills, config):
    whole, _, _ = run(autoencoder, tmp_path, config, store=CheckpointStore(tmp_path / "whole", {"run": 1}))
    call = DistillationObjective.__call__

    class Killed(BaseException):
        """What no part of the training catches."""

    for kill in kills:

        def dying(self, model, batch, kill=kill):
            if batch.start // DISTILL.batch.batch_size == kill:
                raise Killed
            return call(self, model, batch)

        monkeypatch.setattr(DistillationObjective, "__call__", dying)
        with pytest.raises(Killed):
            run(autoencoder, tmp_path, config, store=CheckpointStore(tmp_path / "killed", {"run": 1}), every=1)
    monkeypatch.setattr(DistillationObjective, "__call__", call)
    again, _, _ = run(autoencoder, tmp_path, config, store=CheckpointStore(tmp_path / "killed", {"run": 1}), every=1)
    assert again.averaged.keys() == whole.averaged.keys()
    for name, weight in whole.averaged.items():
        torch.testing.assert_close(again.averaged[name], weight, rtol=0, atol=0)
    for name, weight in whole.raw.items():
        torch.testing.assert_close(again.raw[name], weight, rtol=0, atol=0)
    assert again.facts == whole.facts


def test_what_it_tells(autoencoder, tmp_path):
    trained, notes, _ = run(autoencoder, tmp_path)
    assert trained.facts["distilled"] == {"num_steps": 4, "guidance_scale": 1.0, "rollout": "euler"}
    looks = trained.facts["looks"]
    assert [look["student_updates"] for look in looks] == [0, 1, 3, 4]  # every two rounds, the cold start counted
    assert looks[0]["drift/poster/alignment"] == 1.0
    last = {name for _, told in notes.metrics for name in told}
    assert {"train/fake", "train/student", "train/cold", "train/routing/dm/lettering", "drift/all/diversity"} <= last


def test_a_collapse_ends_it_and_an_earlier_look_is_kept(autoencoder, tmp_path):
    looks = iter([1.0, 1.0, 0.01, 0.01, 0.01])
    trained, _, _ = run(autoencoder, tmp_path, examine=lambda _: {**TEACHER, "all/diversity": next(looks)})
    assert "diversity of all is 1 % of the teacher's" in str(trained.facts["ended_early"])
    assert trained.images_seen < DISTILL.num_steps * DISTILL.batch.batch_size


def test_a_fitted_router_is_told_once_before_the_first_step_and_kept(autoencoder, tmp_path):
    trained, notes, _ = run(autoencoder, tmp_path, replace(DISTILL, router=RouterFit(64, 0.01, 2, 0)))
    router = trained.facts["router"]
    assert router != DISTILL.committee.weights
    ((step, told),) = [(step, told) for step, told in notes.metrics if any(name.startswith("router/") for name in told)]
    assert step == 0
    assert told["router/dm/poster/high/lettering"] == router["dm"]["poster"]["high"][1]


def test_a_router_that_finds_nothing_trains_as_none_does_bit_for_bit(autoencoder, tmp_path):
    """Too few images in any cell: the tables stay, and the fit leaves no other trace in the training."""
    declared, notes, _ = run(autoencoder, tmp_path)
    kept, _, _ = run(autoencoder, tmp_path, replace(DISTILL, router=RouterFit(8, 0.01, 1000, 0)))
    assert "router" not in declared.facts
    assert not any(name.startswith("router/") for _, told in notes.metrics for name in told)
    assert kept.facts == {**declared.facts, "router": DISTILL.committee.weights}
    for name, weight in declared.raw.items():
        assert torch.equal(kept.raw[name], weight), name


def test_what_cannot_be_trained_is_refused_before_it_begins(autoencoder, tmp_path):
    with pytest.raises(ValueError, match="choose a profile with strategy ddp, zero2 or zero3"):
        check_execution(Execution("cpu", devices=2, strategy="fsdp2"))
    with pytest.raises(ValueError, match=r"made for 4, 1\.5 and 1\.0"):
        replace(DISTILL, grid=replace(DISTILL.grid, num_sampling_steps=8))
    with pytest.raises(ValueError, match="without adapters it must be 0"):
        replace(DISTILL, fake=None)
    with pytest.raises(ValueError, match=r"^block 2 of the teacher; allowed: 0 to 1$"):
        run(autoencoder, tmp_path, replace(ADVERSARIAL, adversarial=replace(ADVERSARIAL.adversarial, block=2)))
    with pytest.raises(ValueError, match="give both or neither"):
        run(autoencoder, tmp_path, model=tiny_distilled(tmp_path, save_committee(tmp_path), has_head=True))
