"""The time that each kernel takes on a GPU, by its published rates: a roofline, and a launch.

`max(2 MACs / (peak x efficiency), bytes / (bandwidth x efficiency)) + cycles / clock`, with efficiencies and cycles
fitted once, on few figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.runtime.errors import DeviceError

if TYPE_CHECKING:
    from edge.compress.latency_table import Bound
    from edge.compress.precision_plan import PlannedPrecision
    from edge.devices.kernels import Kernel, Product
    from edge.devices.profile import DeviceProfile

BYTES: dict[PlannedPrecision, int] = {"int8": 1, "fp16": 2, "fp32": 4}
PRECISIONS: tuple[PlannedPrecision, ...] = ("int8", "fp16", "fp32")
# Multiply-accumulates of a CUDA core at FP16 (packed) and INT8 (dp4a), FP32 being 1: CUDA's throughput table, SM 8.7.
CORE_SPEED: dict[PlannedPrecision, int] = {"int8": 2, "fp16": 2, "fp32": 1}


@dataclass(frozen=True, slots=True)
class Constants:
    """What is fitted: nothing else in this module is.

    Attributes:
        compute: Share of the peak rate that kernels reach.
        bandwidth: Share of the memory's rate that they reach.
        cycles: What a kernel costs beside, to be launched, to fill the GPU and to drain it, in cycles of the GPU.
    """

    compute: float
    bandwidth: float
    cycles: float


# By benchmarks/estimate.py, on the fifteen published figures that docs/estimate.md marks, and on no other.
FITTED = Constants(compute=0.48, bandwidth=0.56, cycles=16_600)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a GPU does, efficiencies applied: operations and bytes a millisecond, and milliseconds of a launch."""

    tensor_cores: dict[PlannedPrecision, float]
    cuda_cores: dict[PlannedPrecision, float]
    memory: float
    launch_ms: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds, and what bounds them; None of what costs nothing."""

    ms: float
    bound: Bound | None


def device_rates(device: DeviceProfile, constants: Constants = FITTED) -> Rates:
    """The rates of a device in its power mode.

    TensorRT computes FP32 as TF32 where tensor cores can (SM 8.0 and later), at half the rate of FP16.

    Raises:
        DeviceError: It has no GPU, or nobody published its peaks.
    """
    peak = device.peak
    if device.gpu is None:
        raise DeviceError(f"{device.name} has no GPU, and estimates are of GPUs", "measure on the host itself")
    if peak.int8_tops is None or peak.fp16_tflops is None or peak.fp32_tflops is None:
        raise DeviceError(f"{device.name} has no published peak at INT8, FP16 or FP32", "add peak to its profile")
    tf32 = peak.fp16_tflops / 2 if float(device.gpu.sm) >= 8 else peak.fp32_tflops
    peaks: dict[PlannedPrecision, float] = {"int8": peak.int8_tops, "fp16": peak.fp16_tflops, "fp32": tf32}
    return Rates(
        tensor_cores={p: tera * 1e9 * constants.compute for p, tera in peaks.items()},
        cuda_cores={p: peak.fp32_tflops * 1e9 * CORE_SPEED[p] * constants.compute for p in PRECISIONS},
        memory=device.memory.bandwidth_gb_s * 1e6 * constants.bandwidth,
        launch_ms=constants.cycles / (device.gpu.clock_mhz * 1e3),
    )


def kernel_cost(kernel: Kernel, rates: Rates, precision: PlannedPrecision) -> Cost:
    """What a kernel takes with its arithmetic and all that it moves at one precision."""
    if not kernel.launches:
        return Cost(0.0, None)
    compute = _compute_ms(kernel.product, rates, precision) if kernel.product else 0.0
    memory = kernel.values * BYTES[precision] / rates.memory
    launch = kernel.launches * rates.launch_ms
    limits: tuple[tuple[float, Bound], ...] = ((launch, "launch"), (memory, "memory"), (compute, "compute"))
    return Cost(max(compute, memory) + launch, max(limits)[1])


def _compute_ms(product: Product, rates: Rates, precision: PlannedPrecision) -> float:
    """On whichever cores are done first: filling up small groups makes tensor cores useless for depthwise layers."""
    padded = 2 * product.padded_macs(precision) / rates.tensor_cores[precision]
    return min(padded, 2 * product.macs / rates.cuda_cores[precision])
