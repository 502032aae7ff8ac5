"""How long ONNX Runtime's own profiler says that each node of an optimized graph takes, and what it computes."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge.profile.contents import LayerTime
from edge.runtime.capabilities import require_module
from edge.runtime.engines.onnxruntime import session_options
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

WARM_UP_ROUNDS = 3
_KERNEL = "_kernel_time"
_CONVOLUTIONS = frozenset({"Conv", "FusedConv", "ConvInteger", "QLinearConv"})
_PRODUCTS = frozenset({"Gemm", "FusedGemm", "MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul", "QGemm"})
# Positions of activation and weight among the inputs of operators on levels, which take scales and zero points between.
_QUANTIZED = {"QLinearConv": (0, 3), "QLinearMatMul": (0, 3), "QGemm": (0, 3)}
_WIDTHS = {"float": 4, "float16": 2, "int8": 1, "uint8": 1}
_PRECISIONS: dict[str, Literal["int8", "fp16", "fp32"]] = {
    "float": "fp32", "float16": "fp16", "int8": "int8", "uint8": "int8",
}  # fmt: skip


@dataclass(frozen=True)
class GraphSession:
    """What is run once more, to be asked for its layers.

    Attributes:
        graph: The ONNX file.
        threads: For one operator.
        emulate_int8: As the engine that is timed.
        inputs: By tensor.
    """

    graph: bytes
    threads: int
    emulate_int8: bool
    inputs: Mapping[str, NDArray[Any]]


def onnx_layer_times(session: GraphSession, rounds: int) -> tuple[LayerTime, ...]:
    """Mean time of every node over `rounds` inferences, in the order in which they run.

    The session is another than the one whose latency is told, for its profiler slows small nodes down.

    Raises:
        ModelError: ONNX Runtime does not run the graph, or writes a profile of another form.
    """
    with tempfile.TemporaryDirectory(prefix="edge-profile-") as folder:
        options = session_options(session.threads, session.emulate_int8)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "layers")
        try:
            runner = require_module("onnxruntime").InferenceSession(session.graph, options, ["CPUExecutionProvider"])
            for _ in range(WARM_UP_ROUNDS + rounds):
                runner.run(None, session.inputs)
            written = Path(runner.end_profiling())
        except Exception as error:  # ONNX Runtime raises its own types
            raise ModelError(
                f"ONNX Runtime does not profile the graph: {first_line(error)}", "try --no-layers"
            ) from error
        return parse_layer_events(written.read_text(encoding="utf-8"), rounds)


def parse_layer_events(text: str, rounds: int) -> tuple[LayerTime, ...]:
    """Layers from ONNX Runtime's profile, a Chrome trace.

    Args:
        text: The JSON of `end_profiling`.
        rounds: The last so many runs of each node count.

    Raises:
        ModelError: It is no such profile, or no node of it ran so often.
    """
    try:
        events = [event for event in json.loads(text) if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)]
        nodes: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
        for event in sorted(events, key=lambda event: event["ts"]):
            nodes[int(event["args"]["node_index"]), event["name"].removesuffix(_KERNEL)].append(event)
        layers = tuple(_layer(name, taken[-rounds:]) for (_, name), taken in nodes.items() if len(taken) >= rounds)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"ONNX Runtime's profile is of another form ({first_line(error)})", "leave layers out with --no-layers"
        ) from error
    if not layers:
        raise ModelError(f"ONNX Runtime's profile tells of no node that ran {rounds} times", "try --no-layers")
    return layers


def _layer(name: str, events: list[dict[str, Any]]) -> LayerTime:
    told, operator = events[-1]["args"], str(events[-1]["args"]["op_name"])
    inputs, outputs = (_tensors(told.get(f"{side}_type_shape", [])) for side in ("input", "output"))
    macs, unseen = _macs(operator, inputs, outputs)
    moved = sum(int(told.get(f"{part}_size", 0)) for part in ("activation", "parameter", "output"))
    return LayerTime(
        name=name,
        kind=operator,
        ms=sum(float(event["dur"]) for event in events) / len(events) / 1e3,
        macs=macs,
        bytes=None if unseen is None else moved + unseen,
        precision=_PRECISIONS.get(inputs[0][0]) if inputs else None,
    )


def _tensors(described: list[dict[str, list[int]]]) -> list[tuple[str, tuple[int, ...]]]:
    """`(element type, shape)` of each; the profile writes `[{"float": [1, 3]}, ...]`."""
    return [(kind, tuple(shape)) for tensor in described for kind, shape in tensor.items()]


def _macs(operator: str, inputs: list[Any], outputs: list[Any]) -> tuple[int | None, int | None]:
    """Multiply-accumulates, and bytes of a weight that the profile leaves out because the kernel packed it anew.

    Both are None where they cannot be told.
    """
    if operator not in _CONVOLUTIONS | _PRODUCTS:
        return None, 0
    first, second = _QUANTIZED.get(operator, (0, 1))
    if len(inputs) <= first or not outputs:
        return None, None
    (kind, activation), made = inputs[first], outputs[0][1]
    weight = inputs[second][1] if second < len(inputs) else ()
    if operator in _CONVOLUTIONS:
        seen = len(weight) == len(made)
        return (prod(made) * prod(weight[1:]), 0) if seen else (None, None)
    depth = activation[-1] if activation else 0
    if len(weight) >= 2:
        return prod(made) * depth, 0
    return prod(made) * depth, depth * made[-1] * _WIDTHS.get(kind, 4)
