"""Which of several failures speaks for all, and who starts the ranks."""

import json
from dataclasses import dataclass, replace

import pytest
from pydantic import BaseModel

from components.launch.local import Ended, log_file
from components.training.config import Execution
from flows import settings
from flows.checkpoints import forget, make_ready, store_of
from flows.declaration import Stage
from flows.ranks import RankFailedError, failure, is_follower, is_launcher, result_file
from flows.reports import EXIT_FAULT, EXIT_MISTAKE, EXIT_PREEMPTED, explain


@pytest.fixture
def folder(tmp_path):
    for rank in range(3):
        log_file(tmp_path, rank).write_text(f"what rank {rank} said\n")
    return tmp_path


def leave(folder, rank, message, exit_code, at):
    result_file(folder, rank).write_text(json.dumps({"message": message, "exit_code": exit_code, "at": at}))


def test_the_first_words_count_not_the_first_end(folder, capsys):
    leave(folder, 0, "RuntimeError: connection closed by peer", EXIT_FAULT, at=2.0)
    leave(folder, 1, "line 1 is empty", EXIT_MISTAKE, at=1.0)
    error = failure(folder, [Ended(0, 3, was_told=False), Ended(1, 1, was_told=False)], 3)
    assert explain(error) == ("line 1 is empty", EXIT_MISTAKE)
    assert capsys.readouterr().err == "what rank 1 said\n"


def test_a_killed_rank_is_the_cause_of_what_the_others_say(folder):
    leave(folder, 0, "RuntimeError: connection closed by peer", EXIT_FAULT, at=2.0)
    error = failure(folder, [Ended(0, 3, was_told=False), Ended(2, -9, was_told=False)], 3)
    assert explain(error)[0].startswith("rank 2 of 3 was killed by SIGKILL (was there enough memory?); its log is /")
    assert explain(error)[1] == EXIT_FAULT


def test_a_rank_that_was_killed_only_after_its_time_was_up_is_not_the_cause(folder):
    leave(folder, 0, "stopped on request", EXIT_PREEMPTED, at=2.0)
    error = failure(folder, [Ended(0, 75, was_told=True), Ended(2, -9, was_told=True)], 3)
    assert explain(error) == ("stopped on request", EXIT_PREEMPTED)


def test_ranks_that_end_by_the_signal_they_were_sent_end_the_stage_in_the_same_way(folder):
    error = failure(folder, [Ended(rank, -15, was_told=True) for rank in range(3)], 3)
    assert isinstance(error, SystemExit)
    assert error.code == 143


@pytest.mark.parametrize(("code", "said"), [(7, "ended with code 7"), (-11, "was killed by SIGSEGV")])
def test_an_end_without_words_is_told_as_it_was(folder, code, said):
    result_file(folder, 0).write_text(json.dumps({"metrics": {}}))  # it fell over after its work was done
    error = failure(folder, [Ended(0, code, was_told=False)], 3)
    assert isinstance(error, RankFailedError)
    assert f"rank 0 of 3 {said}" in str(error)


class Params(BaseModel, frozen=True, extra="forbid"):
    seed: int


@dataclass(frozen=True)
class Metrics:
    loss: float


def train(p: Params) -> Metrics:
    """Train."""
    return Metrics(0.0)


STAGE = Stage(train, {}, {}, distributed=True)
ONE = settings.Profile("one", 1, Execution("cpu"))
PAIR = settings.Profile("pair", 1, Execution("cpu", devices=2, strategy="ddp"))
NODES = settings.Profile("nodes", 1, Execution("cpu", devices=2, num_nodes=2, strategy="ddp"), launcher="external")


def test_only_a_distributed_stage_on_several_local_processes_is_launched(monkeypatch):
    assert is_launcher(STAGE, PAIR)
    assert not is_launcher(STAGE, ONE)
    assert not is_launcher(replace_distributed(STAGE), PAIR)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    assert not is_launcher(STAGE, NODES)
    assert not is_follower(STAGE, NODES)
    monkeypatch.setenv("RANK", "3")
    assert is_follower(STAGE, NODES)
    assert not is_follower(STAGE, PAIR)


def replace_distributed(stage):
    return Stage(stage.function, stage.inputs, stage.outputs)


def test_too_few_ranks_are_refused(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(settings.SettingsError, match="says 4 processes, WORLD_SIZE says 1"):
        is_follower(STAGE, NODES)


def test_several_nodes_need_ranks_from_outside():
    with pytest.raises(ValueError, match="launcher: external"):
        replace(NODES, launcher="local")
    with pytest.raises(ValueError, match="allowed: local, external"):
        replace(NODES, launcher="ssh")


def test_an_unfinished_run_with_other_parameters_is_told_and_a_finished_one_forgotten(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("EASEL_HOME", raising=False)
    monkeypatch.delenv("EASEL_RUN_DIR", raising=False)
    identity = {"stage": "train", "params": {"seed": 1}, "inputs": {}, "code": "c"}
    store = store_of(identity, tmp_path)
    folder = store.begin(8)
    store.leave_receipt(folder, 0)
    store.commit(folder, 8, {})
    make_ready(store, identity)
    assert capsys.readouterr().err == "train: goes on from checkpoint images-000000000008\n"
    other = identity | {"params": {"seed": 2}}
    make_ready(store_of(other, tmp_path), other)
    assert capsys.readouterr().err == "train: an unfinished run is not continued: params.seed was 1, is 2\n"
    assert store.latest()
    forget(str(store.directory))
    forget("")
    assert store.latest() is None
