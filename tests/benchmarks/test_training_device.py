"""Training by device and precision: what is there is trained and timed, what is not says so."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edge.compress.samples import SampleSet
from edge.project import load_project

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
COUNT = 20


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("training_device")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def samples(split: Any) -> SampleSet:
    draw, names = torch.Generator().manual_seed(3), tuple(map(str, range(COUNT)))
    inputs = torch.randn(COUNT, 1, 28, 28, generator=draw), torch.randn(COUNT, 1, 40, 49, generator=draw)
    return SampleSet(split, names, names, inputs, (torch.arange(COUNT) % 10,))


def test_a_side_is_trained_and_one_that_is_not_here_is_named(benchmark: Any) -> None:
    project = load_project(ROOT / "examples" / "av_digits" / "project.yaml")
    project = project.model_copy(update={"train": project.train.model_copy(update={"batch_size": 8})})
    sides = ["cpu:float32"] if torch.cuda.is_available() else ["cpu:float32", "cuda:bfloat16"]
    found = benchmark.compared(project, sides, 2, samples("train"), samples("test"))
    row = found["sides"]["cpu:float32"]
    assert row["samples_per_s"] * row["step_ms"] == pytest.approx(8e3)
    assert set(row["score"]) == {"all", "only_image", "only_audio"} and row["first_epoch_s"] > 0
    table = "\n".join(benchmark.report(found))
    assert "**av-digits**: 20 training samples, 2 epochs, batches of 8" in table and "| cpu:float32 | " in table
    if not torch.cuda.is_available():
        assert "| cuda:bfloat16 | device: cuda was asked for and torch finds no CUDA device |" in table


def test_the_seed_gives_every_side_the_same_start(benchmark: Any) -> None:
    project = load_project(ROOT / "examples" / "av_digits" / "project.yaml")
    project = project.model_copy(update={"train": project.train.model_copy(update={"batch_size": 8})})
    first, again = (benchmark.measured(project, "cpu:float32", 2, samples("train"), samples("test")) for _ in range(2))
    assert first["loss"] == pytest.approx(again["loss"], rel=1e-4) and first["score"] == again["score"]
