"""What goes into the result file: scores and paired losses of all seeds together, sizes, speed, time."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from measurements import Measurement, pooled

from edge.compress.scoring.loss_intervals import paired_losses
from edge.compress.scoring.task import AdditiveMetric
from edge.runtime.engines.onnxruntime import must_emulate
from edge.runtime.environment import describe_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from measured_models import MeasuredModel, TrainedModel
    from numpy.typing import NDArray
    from shared_inputs import SharedInputs

    from edge.compress.scoring.recording_counts import RecordingCounts


@dataclass(frozen=True, eq=False)
class SeedResult:
    """All sides on the model of one seed."""

    seed: int
    trained: TrainedModel
    inputs: SharedInputs
    fp32: Measurement
    sides: dict[str, Measurement]

    @property
    def feeds(self) -> dict[str, NDArray[np.float32]]:
        """The first test sample, everything present."""
        return self.trained.bench.example_feeds(1)[0]


def summarize(
    measured: MeasuredModel,
    results: Sequence[SeedResult],
    speeds: Mapping[str, dict[str, Any]],
    failures: Mapping[str, str],
) -> dict[str, Any]:
    """One model's entry of the result file.

    Args:
        measured: The model.
        results: Of each seed.
        speeds: By side, on this host, of the first seed's graphs.
        failures: Sides that did not run in a seed, and why; they have no entry among `sides`.
    """
    metric = results[0].inputs.task.metric()
    assert isinstance(metric, AdditiveMetric)
    first, reference = results[0], pooled([r.fp32.counts for r in results])
    complete = [name for name in first.sides if name not in failures]
    test = first.trained.bench.measurer.test
    return {
        "title": measured.title,
        "seeds": [r.seed for r in results],
        "test_samples": len(test),
        "recordings": len(set(test.recordings)),
        "calibration_samples": len(first.inputs.calibration),
        "parameters": sum(p.numel() for p in first.inputs.module.parameters()),
        "fit": {**measured.fit.model_dump(mode="json", exclude={"seed"}), "samples": len(first.trained.bench.train)},
        "host": _host(),
        "fp32": {
            "score": _scores(reference, metric),
            "weight_bytes": first.fp32.record.weight_bytes,
            "file_bytes": first.fp32.record.file_bytes,
            "export_cpu_seconds": mean(r.inputs.export_seconds for r in results),
        },
        "sides": {
            name: _side([r.sides[name] for r in results], first.fp32, reference, metric) | speeds.get(name, {})
            for name in complete
        },
        "failed": dict(failures),
    }


def _side(
    measurements: Sequence[Measurement], fp32: Measurement, reference: RecordingCounts, metric: AdditiveMetric
) -> dict[str, Any]:
    counts, record = pooled([m.counts for m in measurements]), measurements[0].record
    losses = paired_losses(reference, counts, metric.points)
    native = [m.record.native for m in measurements if m.record.native is not None]
    return {
        "score": _scores(counts, metric),
        "lost": {
            state: {key: getattr(of["score"], key) for key in ("estimate", "low", "high")}
            for state, of in losses.items()
        },
        "native_score_all": mean(native) if native else None,
        "weight_bytes": record.weight_bytes,
        "weights_smaller": fp32.record.weight_bytes / record.weight_bytes,
        "file_bytes": record.file_bytes,
        "cpu_seconds": mean(m.record.cpu_seconds for m in measurements),
        "versions": record.versions,
    }


def _scores(counts: RecordingCounts, metric: AdditiveMetric) -> dict[str, float]:
    import torch

    return {state: float(metric.points(torch.from_numpy(of).sum(0))["score"]) for state, of in counts.by_state.items()}


def _host() -> dict[str, Any]:
    """What speed and `native_score_all` hold for."""
    host = describe_host()
    return {
        "cpu": host.cpu,
        "cpu_flags": list(host.cpu_flags),
        "machine": host.machine,
        "saturates_u8s8": must_emulate("u8", host),
    }
