"""Profiles for tests of the views: one that has everything, and ones that lack or overdo it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edge.profile.contents import Energy, LayerTime, Measured, Profile, Span, Subject
from edge.profile.views.wording import SHARES
from edge.runtime.environment import describe_host
from edge.runtime.machine_state.state import ClockState, MachineState, RailState
from edge.runtime.statistics import Distribution, percentile_interval

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
STEERING = "\x1b[2J[red]conv[/red] $x_1$\n"
MEANS_MS = {"sync_wait": 1.5, "queue": 0.2, "preprocess": 2.0, "engine": 8.0, "decode": 0.4}


def measured(values: ArrayLike) -> Measured:
    """As a measurement would tell them."""
    ordered = np.sort(np.asarray(values, np.float64))
    shares = np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    shown = np.unique(np.linspace(0, len(ordered) - 1, min(200, len(ordered))).round().astype(int))
    bounds = {name: percentile_interval(ordered, share) for name, share in SHARES.items()}
    return Measured(
        distribution=Distribution.of(ordered),
        intervals={name: pair for name, pair in bounds.items() if pair is not None},
        mean=float(ordered.mean()) if len(ordered) else None,
        curve=tuple((float(shares[i]), float(ordered[i])) for i in shown),
    )


def spread(mean: float, n: int = 4000, seed: int = 0) -> Measured:
    """Durations with a tail."""
    return measured(mean * np.random.default_rng(seed).gamma(40, 1 / 40, n))


def layer(rank: int, **changed: Any) -> LayerTime:
    precision = ("int8", "fp16", "fp32", None)[rank % 4]
    given = {"macs": 10**7 * (rank + 1), "bytes": 10**5 * (40 - rank), "precision": precision, **changed}
    return LayerTime(**{"name": f"encoder/block.{rank}/Conv", "kind": "Conv", "ms": 1.0 / (rank + 1), **given})


def spans(samples: int = 6) -> tuple[Span, ...]:
    """Sets every 100 ms whose waits overlap with the inference of the one before."""
    found = []
    for number in range(samples):
        at = number * 100_000.0
        found.append(Span(track="camera", name="arrival", start_us=at, duration_us=400, number=number))
        found.append(Span(track="camera", name="sync_wait", start_us=at + 400, duration_us=120_000, number=number))
        found.append(Span(track="model", name="engine", start_us=at + 130_000, duration_us=8_000, number=number))
        found.append(Span(track="model", name="conv 1", start_us=at + 131_000, duration_us=2_000))
    return tuple(found)


def state(**changed: Any) -> MachineState:
    given: dict[str, Any] = {
        "model": "NVIDIA Jetson Orin Nano Developer Kit",
        "jetpack": "6.2 (L4T 36.4.3)",
        "power_mode": "2 MAXN_SUPER",
        "clocks": (
            *(ClockState(name=f"cpu{i}", now_mhz=1728.0, most_mhz=1728.0, governor="schedutil") for i in range(6)),
            ClockState(name="gpu", now_mhz=1020.0, least_mhz=1020.0, most_mhz=1020.0, governor="nvhost_podgov"),
        ),
        "temperatures_c": {"cpu-thermal": 51.0, "gpu-thermal": 49.5},
        "throttled": {"soc0": 0},
        "rails": (RailState(name="VDD_IN", milliwatts=7200.0),),
        "source": "hwmon",
        "cores": (0, 1, 2, 3, 5),
        "threads": {"engine": 1, "allow_spinning": 1},
        "load": 1.25,
        "missing": ("rail 2: its label is no text",),
    }
    return MachineState(**{**given, **changed})


def a_profile(**changed: Any) -> Profile:
    """Of a stream, with everything."""
    given: dict[str, Any] = {
        "subject": Subject(
            name="street",
            kind="bundle",
            digest="a" * 64,
            engine="onnxruntime-cpu/u8",
            inputs={"camera": (1, 3, 64, 208), "present": (1, 3)},
        ),
        "scenario": "stream",
        "source": "simulated street, seed 3",
        "warm_up_calls": 40,
        "latency_ms": spread(12.1),
        "stages_ms": {name: spread(mean, seed=i) for i, (name, mean) in enumerate(MEANS_MS.items())},
        "age_ms": {"camera": Distribution.of(range(30, 630)), "result": Distribution.of(range(40, 640))},
        "throughput_hz": 9.98,
        "asked_hz": 10.0,
        "delivered_hz": 9.99,
        "dropped": {"set:overrun": 3},
        "layers": tuple(layer(rank) for rank in range(30)),
        "memory_peak_mib": 312.4,
        "energy": Energy(source="hwmon", rails_mw={"VDD_IN": 7200.0}, millijoules=720.0, total="VDD_IN", readings=50),
        "before": state(),
        "after": state(power_mode="0 15W", temperatures_c={"cpu-thermal": 58.5, "gpu-thermal": 55.0}),
        "environment": describe_host(seed=7),
        "spans": spans(),
        "notes": ("Layers were timed in a pass of their own.",),
    }
    return Profile(**{**given, **changed})


def bare_profile(**changed: Any) -> Profile:
    """Of too few runs on a machine that tells nothing: no percentile, stage, layer, span, rail or clock."""
    given: dict[str, Any] = {
        "subject": Subject(name="model.onnx", kind="onnx", digest="b" * 64, engine="onnxruntime-cpu"),
        "scenario": "single",
        "latency_ms": measured([2.5, 2.75, 3.0]),
        "before": MachineState(missing=("no /sys is mounted",)),
        "after": MachineState(missing=("no /sys is mounted",)),
        "environment": describe_host(),
    }
    return Profile(**{**given, **changed})


def hostile_profile() -> Profile:
    """Whose model was named by somebody who means harm, at length."""
    long = HOSTILE + "x" * 4000
    return a_profile(
        subject=Subject(name=long, kind="onnx", digest="c" * 64, engine=HOSTILE, inputs={HOSTILE: (1, 2)}),
        source=HOSTILE,
        stages_ms={HOSTILE: spread(3.0), "engine": spread(2.0)},
        age_ms={HOSTILE: Distribution.of(range(30, 630))},
        dropped={HOSTILE: 1},
        layers=(layer(0, name=long, kind=HOSTILE), layer(1, name=STEERING), layer(2, name="")),
        spans=(Span(track=long, name=HOSTILE, start_us=0, duration_us=5), *spans()),
        before=state(model=HOSTILE, power_mode=STEERING, throttling=(HOSTILE,), temperatures_c={HOSTILE: 50.0}),
        notes=(HOSTILE, STEERING),
    )
