"""Answers against the goldens: what rounding explains passes, what it does not, NaN and other tensors do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.compile.board.goldens import TENSORRT_TOLERANCE, TOLERANCE, golden_deviation
from edge.compile.board.verification import verify_graph, verify_plan
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, ModelError
from edge.runtime.manifest import DIALECTS
from tests.edge.simulated_host import SimulatedHost, changed, with_pairs
from tests.runtime.engines.simulated_tensorrt import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Case = dict[str, Any]


class Recorded:
    """Stands for a bundle and for the engine that runs it.

    Args:
        expected: Of each golden case.
        answers: What the engine gives instead.
    """

    name, path = "recorded", "bundle"

    def __init__(self, expected: list[Case], answers: list[Case]) -> None:
        self._expected, self._answers = expected, answers

    def golden_inputs(self) -> list[Case]:
        return [{"case": np.array(i)} for i in range(len(self._answers))]

    def golden_outputs(self, dialect: str) -> list[Case]:
        return self._expected

    def run(self, inputs: Mapping[str, Any]) -> Case:
        return self._answers[int(inputs["case"])]


def deviation(expected: list[Case], answers: list[Case]) -> float:
    recorded: Any = Recorded(expected, answers)
    return golden_deviation(recorded, "fp32", recorded)


def of(*values: Any, dtype: Any = np.float32) -> Case:
    return {"y": np.array([values], dtype)}


def test_a_deviation_is_a_share_of_the_tensors_magnitude() -> None:
    assert deviation([of(1, -200)], [of(1, -200)]) == 0
    assert deviation([of(1, -200)], [of(3, -200)]) == pytest.approx(0.01)
    assert deviation([of(1, 2), of(1, 2)], [of(1, 2), of(1, 2.5)]) == pytest.approx(0.25), "every case counts"
    two = [{"a": np.ones((1, 2), np.float32), "b": np.zeros((1, 2), np.float32)}]
    other = [{"a": np.ones((1, 2), np.float32), "b": np.full((1, 2), 1e-3, np.float32)}]
    assert deviation(two, other) > 100, "of a tensor that is zero any answer but zero is far off"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_infinitely_far(bad: float) -> None:
    assert deviation([of(1, 2)], [of(1, bad)]) == np.inf
    assert deviation([of(1, bad)], [of(1, 2)]) == np.inf
    assert deviation([of(1, bad)], [of(1, bad)]) == np.inf


@pytest.mark.parametrize(("dtype", "share"), [(np.uint8, 1 / 3), (np.int8, 1 / 3), (np.bool_, 1.0)])
def test_integers_do_not_wrap_around(dtype: Any, share: float) -> None:
    assert deviation([of(1, 3, dtype=dtype)], [of(0, 3, dtype=dtype)]) == pytest.approx(share)


def test_other_tensors_are_no_answer() -> None:
    wrong: tuple[list[Case], ...] = ([of(1, 2, 3)], [{"z": of(1, 2)["y"]}], [{**of(1, 2), "z": of(1)["y"]}])
    for answers in wrong:
        with pytest.raises(BundleError, match=r"golden/outputs\.fp32\.npz of bundle holds other tensors"):
            deviation([of(1, 2)], answers)


def test_every_dialect_has_a_tolerance() -> None:
    assert set(TOLERANCE) == set(TENSORRT_TOLERANCE) == set(DIALECTS)
    assert all(TENSORRT_TOLERANCE[name] >= TOLERANCE[name] for name in DIALECTS)


def test_each_graph_answers_as_it_did(int8_bundle: Bundle) -> None:
    for dialect in ("s8", "fp32"):
        verified = verify_graph(int8_bundle, dialect)
        assert verified.ok and verified.engine.startswith(f"onnxruntime-cpu/{dialect}")
        assert (verified.deviation, verified.allowed) == (0, TOLERANCE[dialect])


def test_an_engine_answers_as_its_graph_did(int8_bundle: Bundle) -> None:
    jetson = SimulatedHost(devices=2)
    for dialect in ("s8", "fp32"):
        verified = verify_plan(int8_bundle, jetson.open(1), dialect, make_plan(int8_bundle.graph(dialect)))
        assert verified.ok and verified.engine == f"tensorrt-10.3.0-mapped-graph/{dialect}"
        assert verified.allowed == TENSORRT_TOLERANCE[dialect]
    assert jetson.board.left_behind() == {}


@pytest.mark.parametrize(
    ("dialect", "of_graph"), [("s8", lambda graph: changed(graph, "events.weight_scale", 2.0)), ("fp32", with_pairs)]
)
def test_other_weights_answer_otherwise(int8_bundle: Bundle, dialect: str, of_graph: Callable[[bytes], bytes]) -> None:
    """A weight that is off, and for the FP32 graph one that was quantized after all."""
    jetson = SimulatedHost()
    plan = make_plan(of_graph(int8_bundle.graph(dialect)))
    verified = verify_plan(int8_bundle, jetson.open(), dialect, plan)
    assert not verified.ok
    assert verified.allowed < verified.deviation < 10
    assert jetson.board.left_behind() == {}


def test_an_engine_of_other_tensors_is_refused(int8_bundle: Bundle, small_graph: bytes) -> None:
    import onnx

    model = onnx.load_from_string(small_graph)
    for item in (*model.graph.input, *(node for node in model.graph.node if "present" in node.input)):
        if isinstance(item, onnx.NodeProto):
            item.input[list(item.input).index("present")] = "there"
        elif item.name == "present":
            item.name = "there"
    jetson = SimulatedHost()
    with pytest.raises(ModelError, match=r"input tensor '(present|there)' is in"):
        verify_plan(int8_bundle, jetson.open(), "fp32", make_plan(model.SerializeToString()))
    assert jetson.board.cuda.leaks().keys() <= {"device"}


def test_goldens_that_vanished_are_told(int8_bundle: Bundle, tmp_path: Path) -> None:
    (int8_bundle.path / "golden" / "inputs.npz").unlink()
    jetson = SimulatedHost()
    with pytest.raises(BundleError, match=r"inputs\.npz"):
        verify_plan(int8_bundle, jetson.open(), "s8", make_plan(int8_bundle.graph("s8")))
    assert jetson.board.left_behind() == {}
