"""Latency and memory of a graph on a board that is not here, by the roofline of its published rates."""

from __future__ import annotations

import json
from importlib.resources import files
from math import fsum
from typing import TYPE_CHECKING, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, computed_field

from edge.compress.latency_table import Bound, LatencyTable, LayerLatency, graph_digest
from edge.compress.precision_plan import PlannedPrecision, PrecisionPlan
from edge.devices.kernels import kernel_graph
from edge.devices.roofline import BYTES, PRECISIONS, device_rates, kernel_cost
from edge.runtime.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from edge.devices.kernels import Kernel, KernelGraph
    from edge.devices.profile import DeviceProfile
    from edge.devices.roofline import Rates

PrecisionChoice = Literal["int8", "fp16", "fp32", "as-declared"]
ERROR_FILE = "estimate_error.json"
# What CUDA and TensorRT load before a model does: "at least 600 MB", a moderator of NVIDIA's forum of a Xavier NX,
# https://forums.developer.nvidia.com/t/high-ram-consumption-with-cuda-and-tensorrt-on-jetson-xavier-nx/183109/3
# That is with cuDNN, which TensorRT 10 no longer loads by itself; nobody published a figure for it.
CONTEXT_BYTES = 600_000_000
IO_BYTES = BYTES["fp32"]  # graphs take and give FP32, whatever they compute in
_REFORMATTED = IO_BYTES + BYTES["fp16"]  # an input is read as it comes and written in the layout of kernels


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LayerEstimate(_Strict):
    """One kernel at the precision that was asked for.

    Attributes:
        layer: The layer that gives it its name.
        operator: ONNX operator of that layer.
        joined: Layers that are fused into it.
        precision: What it computes in, and all that it moves is held in.
        ms: Milliseconds.
        bound: What limits it; None where nothing needs doing.
        macs: Multiply-accumulates, without what alignment adds.
        bytes: What it moves.
    """

    layer: str
    operator: str
    joined: tuple[str, ...]
    precision: PlannedPrecision
    ms: float
    bound: Bound | None
    macs: int
    bytes: int


class MemoryEstimate(_Strict):
    """Bytes by what they are for; scratch memory of kernels, and of the build, is not in them.

    Attributes:
        weights: All constants.
        activations: The most that is alive at once between kernels.
        io: The graph's inputs and outputs, in FP32.
        context: What CUDA and TensorRT take before the model does.
        device: What the board has in all, for everything that runs on it.
    """

    weights: int
    activations: int
    io: int
    context: int
    device: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        """What the model needs while it runs."""
        return self.weights + self.activations + self.io + self.context

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fits(self) -> bool:
        """Whether the board has that much, were nothing else running."""
        return self.total <= self.device


class Estimate(_Strict):
    """What a graph should take on a device.

    Attributes:
        device: Name of the profile.
        power_mode: The mode whose clocks it assumes.
        layers: Kernels in the order in which they run.
        fixed_ms: Bringing inputs and outputs into the layout of kernels and back.
        memory: By parts.
        table: Every layer at all precisions.
    """

    device: str
    power_mode: str
    layers: tuple[LayerEstimate, ...]
    fixed_ms: float
    memory: MemoryEstimate
    table: LatencyTable = Field(exclude=True, repr=False)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def graph_sha256(self) -> str:
        """Of the graph that this is about."""
        return self.table.graph_sha256

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_ms(self) -> float:
        """Of one inference."""
        return self.fixed_ms + fsum(layer.ms for layer in self.layers)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bound_shares(self) -> dict[str, float]:
        """Share of the kernels' time in those that compute, memory and launches limit."""
        total = fsum(layer.ms for layer in self.layers)
        bounds: tuple[Bound, ...] = ("compute", "memory", "launch")
        sums = {bound: fsum(layer.ms for layer in self.layers if layer.bound == bound) for bound in bounds}
        return {bound: value / total if total else 0.0 for bound, value in sums.items()}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def caveat(self) -> str:
        """What must be said with each figure."""
        error = published_error()
        return (
            f"estimate, not a measurement; on {error['rows']} published figures that it was not fitted to, it gave "
            f"{error['lowest']:.2f} to {error['highest']:.2f} times the published latency"
        )

    def latency_table(self) -> LatencyTable:
        """Every layer at all precisions, source `estimate:<device>`."""
        return self.table


def estimate_graph(
    model: onnx.ModelProto,
    device: DeviceProfile,
    precision: PrecisionChoice = "as-declared",
    plan: PrecisionPlan | None = None,
) -> Estimate:
    """Estimates one inference of a graph in the device's power mode.

    Args:
        model: Shapes fixed; Q/DQ pairs declare INT8.
        device: What it runs on.
        precision: Of every layer; `as-declared` takes each at what the graph declares.
        plan: Counts instead of `precision` where given.

    Raises:
        DeviceError: The device has no GPU, or its peaks are unknown.
        ModelError: The graph's shapes are unknown or not fixed, or it branches.
    """
    rates, graph = device_rates(device), kernel_graph(model)
    chosen = [_precision_of(kernel, precision, plan) for kernel in graph.kernels]
    fixed_ms = reformatting_ms(graph, rates)
    return Estimate(
        device=device.name,
        power_mode=device.power_mode,
        layers=tuple(_layer(kernel, rates, p) for kernel, p in zip(graph.kernels, chosen, strict=True)),
        fixed_ms=fixed_ms,
        memory=MemoryEstimate(
            weights=sum(k.weights * BYTES[p] for k, p in zip(graph.kernels, chosen, strict=True)),
            activations=peak_activations(graph, chosen),
            io=IO_BYTES * _io_values(graph),
            context=CONTEXT_BYTES,
            device=int(device.memory.gib * 2**30),
        ),
        table=LatencyTable(
            source=f"estimate:{device.name}",
            graph_sha256=graph_digest(model),
            layers=tuple(row for kernel in graph.kernels for row in _table_rows(kernel, rates)) + _free_rows(graph),
            fixed_ms=fixed_ms,
        ),
    )


def in_power_mode(device: DeviceProfile, name: str) -> DeviceProfile:
    """The device with clock, bandwidth and peaks of another of its power modes.

    Raises:
        DeviceError: It has no such mode, or no source tells its limits.
    """
    if name == device.power_mode:
        return device
    mode = next((m for m in device.power_modes if m.name == name), None)
    if mode is None or device.gpu is None:
        known = ", ".join(m.name for m in device.power_modes)
        raise DeviceError(f"{device.name} has no power mode '{name}'", f"choose one of {known}")
    if mode.gpu_mhz is None or mode.bandwidth_gb_s is None:
        raise DeviceError(f"no source tells the limits of {device.name} in {name}", "add them to its profile")
    multiprocessors = mode.multiprocessors or device.gpu.multiprocessors
    scaled = at_clock(device, mode.gpu_mhz, mode.bandwidth_gb_s, multiprocessors)
    return scaled.model_copy(update={"power_mode": name})


def at_clock(
    device: DeviceProfile, gpu_mhz: float, bandwidth_gb_s: float, multiprocessors: int | None = None
) -> DeviceProfile:
    """The device with another clock and bandwidth, and its peaks in proportion."""
    assert device.gpu is not None
    count = multiprocessors or device.gpu.multiprocessors
    share = gpu_mhz * count / (device.gpu.clock_mhz * device.gpu.multiprocessors)
    peaks = {name: rate * share for name, rate in device.peak.model_dump().items() if rate is not None}
    changes = {
        "gpu": device.gpu.model_copy(update={"clock_mhz": gpu_mhz, "multiprocessors": count}),
        "memory": device.memory.model_copy(update={"bandwidth_gb_s": bandwidth_gb_s}),
        "peak": device.peak.model_copy(update=peaks),
    }
    return device.model_copy(update=changes)


def peak_activations(graph: KernelGraph, precisions: Sequence[PlannedPrecision]) -> int:
    """The most bytes that are alive at once between kernels, each tensor as wide as its kernel computes.

    A tensor lives from the kernel that writes it to the last that reads it. What is written straight into a
    concatenation's result lives in that. The graph's inputs and outputs have buffers of their own and do not count.
    """
    outside = {*graph.inputs, *graph.outputs}
    born: dict[str, int] = {}
    died: dict[str, int] = {}
    width: dict[str, int] = {}
    for index, (kernel, precision) in enumerate(zip(graph.kernels, precisions, strict=True)):
        for name in (_home(graph, n) for n in kernel.writes):
            born.setdefault(name, index)
            width[name] = max(width.get(name, 0), BYTES[precision])
            died[name] = index
        died.update(dict.fromkeys((_home(graph, n) for n in kernel.reads), index))
    change = [0] * (len(graph.kernels) + 1)
    for name in born.keys() - outside:
        size = graph.sizes[name] * width[name]
        change[born[name]] += size
        change[died[name] + 1] -= size
    alive, most = 0, 0
    for step in change:
        alive += step
        most = max(most, alive)
    return most


def reformatting_ms(graph: KernelGraph, rates: Rates) -> float:
    """What it takes to bring inputs into the layout of kernels, and outputs out of it: one launch each."""
    launches = bool(graph.inputs) + bool(graph.outputs)
    return _io_values(graph) * _REFORMATTED / rates.memory + launches * rates.launch_ms


def published_error() -> dict[str, float]:
    """How far estimates were from published latencies that the constants were not fitted to, as the benchmark found.

    `rows`, and `lowest`, `median` and `highest` of estimate over published.
    """
    content = json.loads((files("edge.devices") / ERROR_FILE).read_text(encoding="utf-8"))
    return cast("dict[str, float]", content)


def _home(graph: KernelGraph, name: str) -> str:
    while name in graph.places:
        name = graph.places[name]
    return name


def _precision_of(kernel: Kernel, choice: PrecisionChoice, plan: PrecisionPlan | None) -> PlannedPrecision:
    if plan is not None:
        return plan.of(kernel.name)
    return kernel.declared if choice == "as-declared" else choice


def _layer(kernel: Kernel, rates: Rates, precision: PlannedPrecision) -> LayerEstimate:
    cost = kernel_cost(kernel, rates, precision)
    return LayerEstimate(
        layer=kernel.name,
        operator=kernel.layers[0].operator,
        joined=tuple(layer.name for layer in kernel.layers[1:]),
        precision=precision,
        ms=cost.ms,
        bound=cost.bound,
        macs=kernel.product.macs if kernel.product else 0,
        bytes=kernel.values * BYTES[precision],
    )


def _table_rows(kernel: Kernel, rates: Rates) -> list[LayerLatency]:
    """The kernel's cost is its first layer's; those that joined it cost nothing."""
    rows = []
    for index, layer in enumerate(kernel.layers):
        for precision in PRECISIONS:
            cost = kernel_cost(kernel, rates, precision)
            ms, bound = (cost.ms, cost.bound) if index == 0 else (0.0, None)
            row = LayerLatency(layer=layer.name, operator=layer.operator, precision=precision, ms=ms, bound=bound)
            rows.append(row)
    return rows


def _free_rows(graph: KernelGraph) -> tuple[LayerLatency, ...]:
    return tuple(
        LayerLatency(layer=layer.name, operator=layer.operator, precision=precision, ms=0.0)
        for layer in graph.free
        for precision in PRECISIONS
    )


def _io_values(graph: KernelGraph) -> int:
    return sum(graph.sizes[name] for name in dict.fromkeys((*graph.inputs, *graph.outputs)))
