"""Two processes beside one: equal weights on both, the same training within rounding, exactly the same scales."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import distributed

from edge.compress.parallel.collectives import first_alone, gather_arrays, gather_values, spread
from edge.compress.parallel.ranks import Ranks, current_ranks, joined_ranks
from edge.runtime.errors import ConfigError, DataError
from tests.compress.parallel import two_ranks

if TYPE_CHECKING:
    from torch import Tensor

Outcome = tuple[dict[str, Any], dict[str, "Tensor"]]
LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What two processes came to, by rank."""
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, *LAUNCH, str(Path(two_ranks.__file__)), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return [(json.loads((out / f"{r}.json").read_text()), load_file(out / f"{r}.safetensors")) for r in range(2)]


@pytest.fixture(scope="module")
def one() -> Outcome:
    """What this process comes to alone."""
    with joined_ranks() as ranks:
        return two_ranks.work(ranks)


@pytest.mark.integration
def test_all_ranks_end_with_equal_weights(two: list[Outcome]) -> None:
    (_, first), (_, second) = two
    assert all(torch.equal(value, second[name]) for name, value in first.items()), "running statistics included"


@pytest.mark.integration
@pytest.mark.parametrize("which", ["fitted", "taught"])
def test_two_processes_train_as_one_does(two: list[Outcome], one: Outcome, which: str) -> None:
    moved = 0.0
    for name, value in one[1].items():
        if name.startswith(which):
            torch.testing.assert_close(two[0][1][name], value, rtol=1e-4, atol=1e-4)
            moved = max(moved, float((value - _untrained()[name.removeprefix(f"{which}.")]).abs().max()))
    assert moved > 0.05, "training does much more than the tolerance"


def _untrained() -> dict[str, Tensor]:
    return two_ranks.model(4, seed=1).state_dict()


@pytest.mark.integration
def test_losses_and_their_parts_are_those_of_the_whole_batch_on_every_rank(two: list[Outcome], one: Outcome) -> None:
    for values, _ in two:
        assert values["losses"] == pytest.approx(one[0]["losses"], rel=1e-4)
        for found, expected in zip(values["parts"], one[0]["parts"], strict=True):
            assert found == pytest.approx(expected, rel=1e-4)
    assert two[0][0]["losses"] == two[1][0]["losses"]


@pytest.mark.integration
def test_scales_of_shared_out_samples_are_exactly_those_of_one_process(two: list[Outcome], one: Outcome) -> None:
    assert set(one[0]["scales"]) == set(two_ranks.OBSERVERS)
    assert len({tuple(s) for s in one[0]["scales"].values()}) == len(two_ranks.OBSERVERS), "observers differ"
    for values, _ in two:
        assert values["scales"] == one[0]["scales"]


@pytest.mark.integration
def test_what_is_known_of_each_sample_is_that_of_one_process(two: list[Outcome], one: Outcome) -> None:
    largest = [max(r["peaks"]) / min(p for p in r["peaks"] if p) for r in one[0]["by_sample"]]
    assert max(largest) > 100, "magnitudes spread over octaves that one rank's samples do not reach"
    for values, _ in two:
        assert values["by_sample"] == one[0]["by_sample"]


@pytest.mark.integration
def test_one_process_can_train_by_itself_while_the_others_wait(two: list[Outcome], one: Outcome) -> None:
    for values, _ in two:
        assert values["exchanged"]["alone"] == one[0]["exchanged"]["alone"], "to the bit: nothing is shared out"


@pytest.mark.integration
def test_what_goes_between_processes_arrives_whole_and_in_order(two: list[Outcome]) -> None:
    for values, _ in two:
        assert values["exchanged"] | {"refused": None, "alone": None} == {
            "arrays": [[], [[0, 1, 2]]],
            "values": [{"rank": 0, "words": ""}, {"rank": 1, "words": "xxxxx"}],
            "sum": [2**61 + 1],
            "max": [1, 0],
            "spread": [[i * i, i % 2] for i in range(7)],
            "nothing": [],
            "first": [0, "of the first"],
            "refused": None,
            "alone": None,
        }


@pytest.mark.integration
def test_a_fault_on_one_rank_is_told_by_all_and_keeps_none_waiting(two: list[Outcome]) -> None:
    for rank, (values, _) in enumerate(two):
        spreading, first, kinds, batch = values["exchanged"]["refused"]
        assert spreading == f"2: item 3 is wrong{'' if rank else ' (on rank 1)'}; leave it out"
        assert first == f"3: too much is lost{' (on rank 0)' if rank else ''}; train longer"
        assert "<f4 with 1 axes, <f8 with 1 axes" in kinds
        assert "a batch of 3 gives 2 processes less than two rows each" in batch


@pytest.mark.integration
def test_a_group_that_accelerate_made_is_used_and_left_alone() -> None:
    pytest.importorskip("accelerate")
    script = Path(two_ranks.__file__).with_name("accelerated_job.py")
    launch = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0")
    command = [sys.executable, *launch, str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[[0, 2, 0], [1, 2, 1]] 2\n"


@given(st.integers(0, 50), st.integers(1, 9))
def test_blocks_of_rows_are_the_whole_and_differ_by_one_at_most(count: int, world: int) -> None:
    blocks = [range(count)[Ranks(rank, world).rows(count)] for rank in range(world)]
    assert [row for block in blocks for row in block] == list(range(count))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_one_process_alone_keeps_what_it_has() -> None:
    with joined_ranks() as ranks:
        assert ranks == current_ranks() == Ranks(0, 1)
        assert ranks.first
        assert not distributed.is_initialized()
    assert spread("abc", str.upper) == ["A", "B", "C"]
    assert gather_values({"a": [1, None]}) == [{"a": [1, None]}]
    assert first_alone(lambda: None) is None


def test_a_launched_process_that_has_not_joined_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="process 1 of 2 and it has not joined"):
        current_ranks()


@pytest.mark.parametrize(("rank", "world"), [("1", "two"), ("", "2")])
def test_a_launchers_variables_that_are_no_numbers_are_refused(
    monkeypatch: pytest.MonkeyPatch, rank: str, world: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ConfigError, match="are no numbers"), joined_ranks():
        pass


def test_an_incomplete_launch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"cannot be joined .*MASTER_ADDR.*launch them with torchrun"), joined_ranks():
        pass


def test_a_group_that_moves_no_cpu_tensors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_backend", lambda: "nccl")
    monkeypatch.setattr(distributed, "get_backend_config", lambda: "cuda:nccl")
    with pytest.raises(ConfigError, match="joined by 'nccl', which moves no CPU tensors"):
        current_ranks()


@pytest.mark.parametrize("value", [{1, 2}, object()])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="cannot go between processes"):
        gather_values(value)


def test_one_array_comes_back_as_it_is() -> None:
    array = two_ranks.samples().inputs[0].numpy()
    assert gather_arrays(array)[0] is array
