"""Two processes beside one, with class balance, augmentation, early stopping and an interruption."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from edge.compress.learning.training_state import ResumePoint, read_state
from edge.compress.parallel.ranks import joined_ranks
from tests.compress.learning.small_models import fresh_model
from tests.compress.parallel import two_fits

if TYPE_CHECKING:
    from torch import Tensor

Outcome = tuple[dict[str, Any], dict[str, "Tensor"]]
LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fits")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[Outcome]:
    """What two processes came to, by rank."""
    command = [sys.executable, *LAUNCH, str(Path(two_fits.__file__)), str(folder)]
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return [(json.loads((folder / f"{r}.json").read_text()), load_file(folder / f"{r}.safetensors")) for r in range(2)]


@pytest.fixture(scope="module")
def one(folder: Path) -> Outcome:
    """What this process comes to alone."""
    with joined_ranks() as ranks:
        return two_fits.work(ranks, folder)


def of(which: str, outcome: Outcome) -> dict[str, Tensor]:
    return {k.removeprefix(which): v for k, v in outcome[1].items() if k.startswith(which)}


def test_all_ranks_end_with_equal_weights(two: list[Outcome]) -> None:
    (_, first), (_, second) = two
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_two_processes_train_as_one_does(two: list[Outcome], one: Outcome) -> None:
    untrained, moved = fresh_model(seed=1, dropout=0.0).state_dict(), 0.0
    for name, value in of("trained.", one).items():
        torch.testing.assert_close(of("trained.", two[0])[name], value, rtol=1e-3, atol=1e-3)
        moved = max(moved, float((value - untrained[name]).abs().max()))
    assert moved > 0.05, "training does much more than the tolerance"


def test_they_stop_at_the_same_epoch_with_the_same_scores(two: list[Outcome], one: Outcome) -> None:
    assert two[0][0] == two[1][0], "losses, rates and scores of every epoch, to the last digit"
    ours, theirs = one[0]["reports"], two[0][0]["reports"]
    assert len(ours) == len(theirs) == 4 < two_fits.FULL.epochs, "two epochs after the best"
    assert [r["scores"] for r in theirs] == [r["scores"] for r in ours]
    assert {"all", "only_a", "only_b"} == set(ours[0]["scores"])
    assert two[0][0]["losses"] == pytest.approx(one[0]["losses"], rel=1e-3)


def test_what_was_interrupted_comes_to_the_same_to_the_bit(two: list[Outcome], one: Outcome) -> None:
    for outcome in (*two, one):
        whole, again = of("whole.", outcome), of("again.", outcome)
        assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_noise_differs_between_ranks_and_is_kept_for_each(two: list[Outcome], folder: Path) -> None:
    settings = {"settings": two_fits.FULL.model_dump(mode="json")}
    state = read_state(ResumePoint(folder / "state-2", settings), 2)
    assert state is not None
    noise = state.part("noise")
    assert sorted(noise) == ["0", "1"] and not torch.equal(noise["0"], noise["1"])
