"""ONNX Runtime on the CPU: runs a bundle's graph on any host; what size and speed are measured with here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.environment import describe_host
from edge.runtime.errors import BundleError, ModelError, first_line
from edge.runtime.model_io import GridOutput

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from edge.runtime.environment import HostDescription
    from edge.runtime.model_io import ModelIO

logger = logging.getLogger(__name__)

VNNI_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})
X86 = frozenset({"x86_64", "AMD64"})
QUIET = 3  # ONNX Runtime's severity: errors only
_DTYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}


@dataclass(frozen=True, slots=True)
class DialectChoice:
    """Which graph of a bundle this host runs.

    Attributes:
        dialect: `s8`, `u8` or `fp32`.
        emulated: Whether quantized nodes are computed in float, between rounding steps.
        reason: Why, for the log and the report.
    """

    dialect: str
    emulated: bool
    reason: str


def choose_dialect(available: Collection[str], host: HostDescription | None = None) -> DialectChoice:
    """Picks the graph that runs best here and is right here.

    x86 with VNNI takes `u8`, for which ONNX Runtime has integer kernels; ARM takes `s8`, what the board's TensorRT
    runs too. x86 without VNNI saturates int16 pairs of U8 x S8 products, so there the quantized graph is
    emulated in float: slower, but the function that the gates have measured.

    Args:
        available: Dialects that the bundle holds.
        host: The machine; this one where it is not given.

    Raises:
        BundleError: None of the known dialects is available.
    """
    host = host or describe_host()
    order = ("s8", "u8", "fp32")
    if host.machine not in X86:
        reason = f"{host.machine} runs symmetric INT8"
    elif VNNI_FLAGS.intersection(host.cpu_flags):
        order, reason = ("u8", "s8", "fp32"), "x86 with VNNI has integer kernels for U8"
    else:
        reason = "x86 without VNNI saturates INT8 products, so they are emulated in float"
    for dialect in order:
        if dialect in available:
            reason = reason if len(set(available).intersection(order)) > 1 else "the bundle's only graph"
            chosen = DialectChoice(dialect, must_emulate(dialect, host), reason)
            logger.info("dialect %s: %s", chosen.dialect, chosen.reason)
            return chosen
    raise BundleError(
        f"there is no graph for ONNX Runtime among {sorted(available)}", "pack the bundle with s8, u8 or fp32"
    )


def must_emulate(dialect: str, host: HostDescription | None = None) -> bool:
    """Whether this host's integer kernels would compute something else than the quantized graph says."""
    if dialect == "fp32":
        return False
    host = host or describe_host()
    return host.machine in X86 and not VNNI_FLAGS.intersection(host.cpu_flags)


class OnnxRuntimeEngine:
    """One session on the CPU provider, nodes in sequence, one thread unless told otherwise.

    Worker threads do not spin: on a board the cores have other work between two frames.

    Args:
        graph: The ONNX file or its bytes.
        dialect: Which graph it is: goes into the name, and decides whether this host must emulate it.
        threads: For one operator.
        model_io: Where given, the graph's tensors are checked against it.
        emulate_int8: Compute between Q/DQ pairs in float instead of integer kernels; where it is not given, as
            `must_emulate` says for this host.

    Raises:
        ModelError: The graph does not load, or does not fit `model_io`; the message names the tensor.
        MissingDependencyError: ONNX Runtime is not installed.
    """

    def __init__(
        self,
        graph: bytes | Path,
        dialect: str = "fp32",
        *,
        threads: int = 1,
        model_io: ModelIO | None = None,
        emulate_int8: bool | None = None,
    ) -> None:
        emulate_int8 = must_emulate(dialect) if emulate_int8 is None else emulate_int8
        self._name = f"onnxruntime-cpu/{dialect}" + ("-emulated" if emulate_int8 else "")
        self.threads = threads
        self._session = _make_session(graph, threads, emulate_int8)
        self._run = self._session.run
        self._outputs = [o.name for o in self._session.get_outputs()]
        if model_io is not None:
            self._check(model_io)

    @property
    def name(self) -> str:
        """Back end and dialect."""
        return self._name

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """One inference, from tensor names to tensor names; batch 1. Re-entrant.

        Raises:
            ModelError: A tensor is missing, unknown, or has another type or shape; the message names it.
        """
        try:
            values = self._run(self._outputs, inputs)
        except Exception as error:  # ONNX Runtime raises its own types and ValueError alike
            self._explain(inputs)
            raise ModelError(f"inference failed: {first_line(error)}", "run `edge verify` on the bundle") from error
        return dict(zip(self._outputs, values, strict=True))

    def _explain(self, inputs: Mapping[str, NDArray[np.float32]]) -> None:
        wanted = {i.name: i for i in self._session.get_inputs()}
        for name in wanted.keys() ^ inputs.keys():
            is_missing = name in wanted
            raise ModelError(
                f"tensor '{name}' is " + ("missing" if is_missing else "not an input of the model"),
                f"give exactly {', '.join(sorted(wanted))}",
            )
        for name, item in wanted.items():
            given, dtype = inputs[name], _DTYPES.get(item.type, np.float32)
            if given.dtype != dtype or not _fits(item.shape, given.shape):
                raise ModelError(
                    f"tensor '{name}' is {given.dtype} {list(given.shape)}, the model takes "
                    f"{np.dtype(dtype)} {item.shape}",
                    "make the tensor with the bundle's io.yaml",
                )

    def _check(self, model_io: ModelIO) -> None:
        graph = {i.name: i.shape for i in self._session.get_inputs()}
        described = {i.tensor: _described_shape(i) for i in model_io.inputs}
        for name in graph.keys() ^ described.keys():
            where = "the graph, but not in io.yaml" if name in graph else "io.yaml, but not in the graph"
            raise ModelError(f"input tensor '{name}' is in {where}", "export the model with this io.yaml")
        for name, shape in described.items():
            if not _fits(graph[name], shape):
                raise ModelError(
                    f"input tensor '{name}' is {graph[name]} in the graph, but {list(shape)} in io.yaml",
                    "export the model with this io.yaml",
                )
        for name in _described_outputs(model_io):
            if name not in self._outputs:
                raise ModelError(
                    f"io.yaml decodes tensor '{name}', but the graph gives {', '.join(self._outputs)}",
                    "export the model with this io.yaml",
                )


def _make_session(graph: bytes | Path, threads: int, emulate_int8: bool) -> Any:
    ort = require_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if emulate_int8:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        source = graph if isinstance(graph, bytes) else str(graph)
        return ort.InferenceSession(source, options, ["CPUExecutionProvider"])
    except Exception as error:  # a damaged file raises one of a dozen types
        raise ModelError(
            f"ONNX Runtime does not load the graph: {first_line(error)}", "export the model again"
        ) from error


def _described_shape(item: Any) -> tuple[int, ...]:
    return (1, len(item.streams)) if item.feature == "present" else tuple(item.shape)


def _described_outputs(model_io: ModelIO) -> list[str]:
    names = [output.tensor for output in model_io.outputs]
    return names + [o.distance_tensor for o in model_io.outputs if isinstance(o, GridOutput)]


def _fits(graph: list[int | str | None], shape: tuple[int, ...]) -> bool:
    """Symbolic dimensions of the graph take any size."""
    pairs = zip(graph, shape, strict=False)
    return len(graph) == len(shape) and all(not isinstance(g, int) or g == s for g, s in pairs)
