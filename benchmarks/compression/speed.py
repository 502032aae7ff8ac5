"""How fast the sides' graphs are on this host's integer kernels, one thread, all in turns."""

from __future__ import annotations

from time import perf_counter_ns, thread_time_ns
from typing import TYPE_CHECKING, Any

from turns import take_turns, timed

from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

BASE = "FP32"
REFERENCE = "ONNX Runtime U8S8"
_KEYS = {BASE: "over_fp32", REFERENCE: "over_onnxruntime"}
CALLS = 5


def speed_ratios(
    graphs: Mapping[str, bytes], feeds: dict[str, NDArray[np.float32]], rounds: int
) -> dict[str, dict[str, Any]]:
    """How many times as fast as FP32, and as ONNX Runtime's own quantization, each graph is.

    Args:
        graphs: By side, `FP32` among them.
        feeds: One sample.
        rounds: Turns of each side; the median of a turn's calls counts.

    Returns:
        By side: `over_fp32` and, where that side ran, `over_onnxruntime`; each `{ratio, interval, range, rounds}`.
    """
    bases = {base: key for base, key in _KEYS.items() if base in graphs}
    found = all_ratios(graphs, feeds, tuple(bases), rounds, perf_counter_ns)
    return {
        name: {bases[base]: ratio for base, ratio in of["over"].items()} for name, of in found.items() if name != BASE
    }


def all_ratios(
    graphs: Mapping[str, bytes],
    feeds: dict[str, NDArray[np.float32]],
    bases: tuple[str, ...],
    rounds: int,
    clock: Callable[[], int] = thread_time_ns,
) -> dict[str, dict[str, Any]]:
    """How many times as fast as each base each graph is: by side `over: {base: {ratio, interval, range, rounds}}`.

    By default in this thread's own time, which other processes do not lengthen; ONNX Runtime's one thread is this one.
    """
    sides = {name: timed(_call(graph, feeds), CALLS, clock) for name, graph in graphs.items()}
    turns = take_turns(sides, rounds)
    found = {name: turns.summary(name, 1e-3) for name in graphs}
    return {
        name: {"milliseconds": of[name]["median"], "over": {base: _ratio(of[base]) for base in bases if base != name}}
        for name, of in found.items()
    }


def _call(graph: bytes, feeds: dict[str, NDArray[np.float32]]) -> Callable[[], object]:
    # The dialect's name plays no part once it is said that nothing is emulated.
    engine = OnnxRuntimeEngine(graph, emulate_int8=False)
    return lambda: engine.run(feeds)


def _ratio(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("ratio", "interval", "range", "rounds")}
