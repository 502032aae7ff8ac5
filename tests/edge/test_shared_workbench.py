"""What processes must agree on: which stages are taken from disk, which are refused, and what a clock said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from edge import shared_workbench
from edge.compress.stages import agreed_store
from edge.compress.stages.agreed_store import AgreedStore
from edge.compress.stages.judging import StageRefusedError
from edge.compress.stages.store import StageStore
from edge.runtime.errors import ConfigError
from edge.runtime.statistics.pairwise import Comparison
from edge.runtime.statistics.timing import Timing
from edge.shared_workbench import SharedWorkbench
from edge.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.compress.stages.measure import MeasuredStage


class Named:
    """Stands for a measured stage."""

    def __init__(self, name: str) -> None:
        self.record = self
        self.name = name


def stage(name: str) -> MeasuredStage:
    return cast("MeasuredStage", Named(name))


def bench(stages: int = 1) -> SharedWorkbench:
    made = object.__new__(SharedWorkbench)
    project = type("P", (), {"recipe": type("R", (), {"stages": (None,) * stages})})
    object.__setattr__(made, "project", project)
    return made


@pytest.mark.parametrize("others", [True, False])
def test_a_stage_is_taken_from_disk_by_all_or_by_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, others: bool
) -> None:
    def recalled(store: StageStore, name: str, _model: object) -> Any:
        store.resumed.append(name)
        return stage(name)

    monkeypatch.setattr(StageStore, "recall_first", recalled)
    monkeypatch.setattr(agreed_store, "gather_values", lambda mine: [mine, others])
    store = AgreedStore(tmp_path, {})
    assert (store.recall_first("teacher", cast("Any", None)) is not None) == others
    assert store.resumed == (["teacher"] if others else [])


def refusing(_self: Workbench, *_: object) -> Iterator[MeasuredStage]:
    yield stage("student")
    raise StageRefusedError(stage("quantize"), "it loses too much")


def test_a_refusal_of_all_is_raised_after_the_stages_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workbench, "compress", refusing)
    stages = bench(2).compress(stage("teacher"))
    assert next(stages).record.name == "student"
    with pytest.raises(StageRefusedError, match="it loses too much"):
        next(stages)


def test_a_refusal_of_some_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workbench, "compress", refusing)
    verdicts = iter([[False, False], [False, True]])
    monkeypatch.setattr(shared_workbench, "gather_values", lambda _mine: next(verdicts))
    stages = bench(2).compress(stage("teacher"))
    next(stages)
    with pytest.raises(ConfigError, match=r"only process 1 of 2 refused a stage; use machines of one kind"):
        next(stages)


def test_a_comparison_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [Timing(np.arange(6, dtype=np.int64).reshape(3, 2) + i, stable=bool(i)) for i in range(2)]
    timed = Comparison(1.5, (1.25, 1.75), (1.0, 2.0), 3, 7, *sides)
    monkeypatch.setattr(Workbench, "_time_pair", lambda *_: timed)
    found = bench()._time_pair(stage("a"), stage("b"))
    assert found.to_json() == timed.to_json()
    assert np.array_equal(found.b.samples_ns, timed.b.samples_ns) and found.interval == (1.25, 1.75)
