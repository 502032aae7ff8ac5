"""A calibration of a trained model: draws the set, finds or fetches the ranges, writes the coverage report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.calibration.cache import load_ranges, save_ranges
from edge.calibration.coverage import Coverage, agreement_of, count_states, cover_tensor
from edge.calibration.dataset import TensorRecord
from edge.calibration.drawing import SampleSource, draw_set
from edge.compress.parallel.collectives import first_alone
from edge.compress.quantize.shared_ranges import SharedRangeFinder
from edge.data.dataset_folder import load_split
from edge.report.coverage_page import write_coverage
from edge.runtime.errors import DataError
from edge.runtime.model_io import PresentInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edge.calibration.cache import RangeMethod
    from edge.calibration.dataset import CalibrationSet
    from edge.calibration.drawing import DrawConfig
    from edge.calibration.tensor_range import TensorRange
    from edge.checkpoint import Checkpoint
    from edge.compress.quantize.activation_ranges import RangeFinder
    from edge.compress.quantize.config import QuantizeConfig
    from edge.runtime.model_io import ModelIO

    Doing = Callable[[str], AbstractContextManager[None]]

SET, RANGES = "set", "ranges"
BATCH = 16


def run_calibration(
    saved: Checkpoint,
    dataset: Path,
    draw: DrawConfig,
    quantize: QuantizeConfig,
    out: Path,
    doing: Doing,
    *,
    fresh: bool = False,
) -> Coverage:
    """Writes `set/`, `ranges/`, `coverage.json` and `coverage.html` into `out`.

    Collective: the processes of a job share the samples out, all get the coverage, and the first writes.

    Args:
        saved: The trained model.
        dataset: Prepared by the runtime's own preprocessing; its training split is drawn from.
        draw: How many samples, and how they are chosen.
        quantize: How ranges become scales.
        out: Folder.
        doing: Shows that a step is running.
        fresh: Replace stored ranges that are of another model, set or method, instead of refusing them.

    Raises:
        ConfigError: More samples are asked for than the split has.
        DataError: A sample is not what the model wants, an activation is NaN or infinite, or stored ranges are stale.
    """
    source = _source(saved.manifest.project.io, dataset)
    examples = (*(torch.from_numpy(v[:2]) for v in source.modalities.values()), torch.ones(2, len(source.modalities)))
    with doing("Export the model with an observer on each tensor"):
        finder = SharedRangeFinder(saved.model, examples, quantize, tuple(source.reference or ()))
    with doing(f"Choose {draw.samples} of {len(source.ids)} training samples"):
        calibration = draw_set(source, draw, finder.by_sample, BATCH)
    whole = _ceilings(finder.whole, finder.method)
    with doing("Find the ranges"):
        ranges = _ranges(finder, calibration, out / RANGES, fresh=fresh)
    agreement = agreement_of(_ceilings(ranges, finder.method), whole, len(source.ids)) if whole else None
    coverage = Coverage(
        schema_version=1,
        draw=draw,
        method=finder.method,
        key=finder.key(calibration),
        samples=len(calibration),
        states=count_states(calibration, saved.manifest.project.io.modalities, list(calibration.tensors)[-1]),
        tensors={name: cover_tensor(found, finder.method) for name, found in ranges.items()},
        agreement=agreement,
    )
    with doing("Write coverage.json and coverage.html"):
        first_alone(lambda: _write(out, calibration, coverage, ranges))
    return coverage


def _write(out: Path, calibration: CalibrationSet, coverage: Coverage, ranges: Mapping[str, TensorRange]) -> None:
    calibration.save(out / SET)
    write_coverage(coverage, ranges, out)


def _source(model_io: ModelIO, dataset: Path) -> SampleSource:
    """The training split, with the shapes that the model declares; a fusion model's last input is `present`."""
    train = load_split(dataset, "train")
    wanted = [item for item in model_io.inputs if not isinstance(item, PresentInput)]
    present = next((item.tensor for item in model_io.inputs if isinstance(item, PresentInput)), "present")
    if len(wanted) != len(train.inputs):
        raise DataError(
            f"{dataset} holds {len(train.inputs)} inputs, the model takes {[item.tensor for item in wanted]}",
            "prepare the dataset for this model",
        )
    reference = {item.tensor: TensorRecord(dtype=item.dtype, shape=tuple(item.shape[1:])) for item in wanted}
    reference[present] = TensorRecord(dtype="float32", shape=(len(wanted),))
    modalities = {item.tensor: values.numpy() for item, values in zip(wanted, train.inputs, strict=True)}
    available = None if train.available is None else train.available.numpy()
    return SampleSource(train.split, train.ids, modalities, present, reference, available)


def _ranges(finder: RangeFinder, calibration: CalibrationSet, folder: Path, *, fresh: bool) -> dict[str, TensorRange]:
    key = finder.key(calibration)
    if first_alone(lambda: folder.exists() and not fresh):
        return load_ranges(folder, key)
    found = finder.ranges(calibration.batches(BATCH), calibration.ids)
    first_alone(lambda: save_ranges(folder, key, found))
    return found


def _ceilings(ranges: Mapping[str, TensorRange], method: RangeMethod) -> dict[str, float]:
    return {name: found.ceiling(method.observer, method.percentile) for name, found in ranges.items()}
