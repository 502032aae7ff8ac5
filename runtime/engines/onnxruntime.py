"""ONNX Runtime on the CPU: runs a bundle's graph on any host; what size and speed are measured with here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.engines.tensor_checks import TensorForm, check_model_io, explain_inputs
from edge.runtime.engines.weight_levels import has_seven_bit_weights
from edge.runtime.environment import describe_host
from edge.runtime.errors import BundleError, ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import DTypeLike, NDArray

    from edge.runtime.environment import HostDescription
    from edge.runtime.model_io import ModelIO

logger = logging.getLogger(__name__)

VNNI_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})
X86 = frozenset({"x86_64", "AMD64"})
ALLOW_SPINNING = 0  # of threads between two operators
QUIET = 3  # ONNX Runtime's severity: errors only
_DTYPES: dict[str, DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True, slots=True)
class DialectChoice:
    """Which graph of a bundle this host runs.

    Attributes:
        dialect: `s8`, `u8`, `fp32` or `s8f16`.
        emulated: Whether quantized nodes are computed in float, between rounding steps.
        reason: Why, for the log and the report.
    """

    dialect: str
    emulated: bool
    reason: str


def choose_dialect(
    available: Collection[str], host: HostDescription | None = None, *, seven_bit: Collection[str] = ()
) -> DialectChoice:
    """Picks the graph that runs best here and is right here.

    x86 with VNNI takes `u8`, for which ONNX Runtime has integer kernels; ARM takes `s8`, what the board's TensorRT
    runs too. x86 without VNNI saturates int16 pairs of U8 x S8 products, so there the quantized graph is
    emulated in float: slower, but the function that the gates have measured; unless its weights have 7 bits, which
    do not saturate. `s8f16` is for boards: the CPU has no fast FP16, so it is run here only where the bundle has no
    other graph.

    Args:
        available: Dialects that the bundle holds.
        host: The machine; this one where it is not given.
        seven_bit: Those of them whose weights `has_seven_bit_weights` finds small.

    Raises:
        BundleError: None of the known dialects is available.
    """
    host = host or describe_host()
    order: tuple[str, ...] = ("s8", "u8", "fp32")
    if host.machine not in X86:
        reason = f"{host.machine} runs symmetric INT8"
    elif VNNI_FLAGS.intersection(host.cpu_flags):
        order, reason = ("u8", "s8", "fp32"), "x86 with VNNI has integer kernels for U8"
    elif "u8" in seven_bit:
        order, reason = ("u8", "s8", "fp32"), "x86 without VNNI has integer kernels for U8 with weights of 7 bits"
    else:
        reason = "x86 without VNNI saturates INT8 products, so they are emulated in float"
    for dialect in (*order, "s8f16"):
        if dialect in available:
            if len(set(available).intersection(order)) <= 1:
                reason = "the bundle's only graph" + (" for a CPU" if len(set(available)) > 1 else "")
            chosen = DialectChoice(dialect, dialect not in seven_bit and must_emulate(dialect, host), reason)
            logger.info("dialect %s: %s", chosen.dialect, chosen.reason)
            return chosen
    raise BundleError(
        f"there is no graph for ONNX Runtime among {sorted(available)}", "pack the bundle with s8, u8 or fp32"
    )


def must_emulate(dialect: str, host: HostDescription | None = None) -> bool:
    """Whether this host's integer kernels would compute something else than a graph with weights of 8 bits says."""
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
            `must_emulate` says for this host, but not for weights of 7 bits.

    Attributes:
        threads: As given.
        in_integers: Whether a quantized graph runs in integer kernels, as far as there are some.

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
        if emulate_int8 is None:
            emulate_int8 = must_emulate(dialect) and not has_seven_bit_weights(graph)
        self._name = f"onnxruntime-cpu/{dialect}" + ("-emulated" if emulate_int8 else "")
        self.threads = threads
        self.in_integers = dialect != "fp32" and not emulate_int8
        self._session = _make_session(graph, threads, emulate_int8)
        self._run = self._session.run
        self._outputs = [o.name for o in self._session.get_outputs()]
        if model_io is not None:
            check_model_io(model_io, self._forms(), self._outputs)

    @property
    def name(self) -> str:
        """Back end and dialect."""
        return self._name

    @property
    def thread_settings(self) -> dict[str, int | str]:
        """What decides its timing beside the graph, as a machine's state holds it."""
        return {"engine": self.threads, "allow_spinning": ALLOW_SPINNING}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """One inference, from tensor names to tensor names; batch 1. Re-entrant.

        Raises:
            ModelError: A tensor is missing, unknown, or has another type or shape; the message names it.
        """
        try:
            values = self._run(self._outputs, inputs)
        except Exception as error:  # ONNX Runtime raises its own types and ValueError alike
            explain_inputs(self._forms(), inputs)
            raise ModelError(f"inference failed: {first_line(error)}", "run `edge verify` on the bundle") from error
        return dict(zip(self._outputs, values, strict=True))

    def _forms(self) -> dict[str, TensorForm]:
        return {i.name: TensorForm(_DTYPES.get(i.type, np.float32), i.shape) for i in self._session.get_inputs()}


def session_options(threads: int, emulate_int8: bool) -> Any:
    """How ONNX Runtime runs a graph here: `SessionOptions` of the engine's own, for a session beside it.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
    """
    ort = require_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", str(ALLOW_SPINNING))
    if emulate_int8:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def _make_session(graph: bytes | Path, threads: int, emulate_int8: bool) -> Any:
    options = session_options(threads, emulate_int8)
    try:
        source = graph if isinstance(graph, bytes) else str(graph)
        return require_module("onnxruntime").InferenceSession(source, options, ["CPUExecutionProvider"])
    except Exception as error:  # a damaged file raises one of a dozen types
        raise ModelError(
            f"ONNX Runtime does not load the graph: {first_line(error)}", "export the model again"
        ) from error
