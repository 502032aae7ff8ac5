"""How near the scales of a small calibration set come to those of a whole training split: chosen against drawn.

Run: python benchmarks/calibration_selection.py CHECKPOINT... [--samples 64] [--split 2000] [--draws 5]
A CHECKPOINT is what `edge train` wrote: several seeds of one project. Ceilings of the chosen set, and of sets drawn at
random with the same share of modality states, are held against those of the split, tensor by tensor, for every
observer. Then the model is quantized by the chosen set and by the whole split, and both are scored on the test split:
paired, over all seeds, with intervals over recordings.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch

from edge.calibration.cache import RangeMethod
from edge.calibration.coverage import agreement_of
from edge.calibration.drawing import DrawConfig, SampleSource, draw_set, whole_split
from edge.calibration.observers import Observer
from edge.checkpoint import load_checkpoint
from edge.compress.quantize.activation_ranges import RangeFinder
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.scoring.evaluation import evaluate_by_recording
from edge.compress.scoring.loss_intervals import paired_losses
from edge.data.dataset_folder import load_split
from edge.training.fusion_task import FusionTask

sys.path.insert(0, str(Path(__file__).parent / "compression"))
from measurements import pooled
from results import write_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from edge.calibration.dataset import CalibrationSet
    from edge.calibration.sample_tails import SampleRanges
    from edge.calibration.tensor_range import TensorRange
    from edge.checkpoint import Checkpoint
    from edge.compress.scoring.recording_counts import RecordingCounts

BATCH, SCORED_AT_ONCE = 16, 100
RESULT = Path(__file__).parent / "results" / "calibration_selection.json"


def main() -> None:
    """Prints a line per observer and writes `benchmarks/results/calibration_selection.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--split", type=int, default=2000, help="how many training samples count as the whole split")
    parser.add_argument("--draws", type=int, default=5, help="random sets to compare with")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    studies = [Study(load_checkpoint(folder), options.split, options.samples) for folder in options.checkpoints]
    drawn = [[s.ranges(DrawConfig(samples=options.samples, seed=n)) for n in range(options.draws)] for s in studies]
    rows = {observer: compared(observer, studies, drawn) for observer in get_args(Observer)}
    result = {"project": studies[0].project, "split": options.split, "samples": options.samples, **rows}
    write_result(options.out, {**result, "seeds": len(studies)})


def compared(observer: Observer, studies: list[Study], drawn: list[list[dict[str, TensorRange]]]) -> dict[str, Any]:
    """Errors of each seed's chosen and drawn sets, and the points that all seeds together lose by the choice."""
    found = [study.compare(observer, sets) for study, sets in zip(studies, drawn, strict=True)]
    before, after = (pooled([study[key] for study in found]) for key in ("whole", "few"))
    lost = paired_losses(before, after, studies[0].task.metric().points)
    keys = ("estimate", "low", "high")
    points = {state: {key: round(getattr(of["score"], key), 3) for key in keys} for state, of in lost.items()}
    print(f"  INT8 of the split - INT8 of the chosen, points: {points}", flush=True)
    return {
        "tensors": found[0]["tensors"],
        "chosen": [study["chosen"] for study in found],
        "drawn": [study["drawn"] for study in found],
        "lost": points,
    }


class Study:
    """One pass over the split, that serves every observer."""

    def __init__(self, saved: Checkpoint, split: int, samples: int) -> None:
        train = load_split(saved.manifest.dataset, "train").subset(range(split))
        names = [item.tensor for item in saved.manifest.project.io.inputs][: len(train.inputs)]
        arrays = {name: values.numpy() for name, values in zip(names, train.inputs, strict=True)}
        self.project = saved.manifest.project.name
        self.source = SampleSource(train.split, train.ids, arrays)
        self.samples = samples
        examples = (*(t[:2] for t in train.inputs), torch.ones(2, len(names)))
        self.finder = RangeFinder(saved.model, examples, QuantizeConfig(), (*names, "present"))
        self.by_sample = self.finder.by_sample(whole_split(self.source, DrawConfig(), BATCH), split)[0]
        self.whole = self.finder.whole
        self.model, self.examples = saved.model, examples
        self.test, self.task = load_split(saved.manifest.dataset, "test"), FusionTask(saved.manifest.project.io)

    def ranges(self, draw: DrawConfig) -> dict[str, TensorRange]:
        """What the tensors do on a set that is drawn at random."""
        return self.finder.ranges(self.drawn(draw, "minmax").batches(BATCH))

    def drawn(self, draw: DrawConfig, observer: Observer) -> CalibrationSet:
        """A set; one that is chosen by ranges is chosen for this observer."""

        def measure(_: Iterable[tuple[NDArray[Any], ...]], __: int) -> tuple[list[SampleRanges], RangeMethod]:
            found = zip(self.by_sample, ceilings(self.whole, observer).values(), strict=True)
            return [replace(r, ceiling=c) for r, c in found], RangeMethod(observer=observer, percentile=99.99)

        found: CalibrationSet = draw_set(self.source, draw, measure, BATCH)
        return found

    def compare(self, observer: Observer, drawn: list[dict[str, TensorRange]]) -> dict[str, Any]:
        """Median and 95 % point of the tensors' errors, chosen and drawn; counts of INT8 by split and chosen."""
        draw = DrawConfig(samples=self.samples, selection="ranges")
        chosen_set = self.drawn(draw, observer)
        chosen = self.finder.ranges(chosen_set.batches(BATCH))
        near, *others = (self._errors(found, observer) for found in (chosen, *drawn))
        middle = np.median(np.array(others), 0)
        print(
            f"{observer:15s} {len(chosen)} tensors; chosen: median {near[0]:.2%}, p95 {near[1]:.2%}; drawn, middle of "
            f"{len(drawn)}: median {middle[0]:.2%}, p95 {middle[1]:.2%}",
            flush=True,
        )
        whole = whole_split(self.source, DrawConfig(), BATCH)
        before, after = (self._counts(observer, batches) for batches in (whole, chosen_set.batches(BATCH)))
        return {"tensors": len(chosen), "chosen": near, "drawn": others, "whole": before, "few": after}

    def _counts(self, observer: Observer, batches: Iterable[tuple[NDArray[Any], ...]]) -> RecordingCounts:
        tensors = [tuple(torch.from_numpy(array) for array in batch) for batch in batches]
        model = quantize_static(self.model, self.examples, tensors, QuantizeConfig(observer=observer))
        counts = evaluate_by_recording(model, self.test, self.task, batch_size=SCORED_AT_ONCE).counts
        assert counts is not None, "the task's metric is additive"
        return counts

    def _errors(self, found: Mapping[str, TensorRange], observer: Observer) -> tuple[float, float]:
        agreement = agreement_of(ceilings(found, observer), ceilings(self.whole, observer), len(self.source.ids))
        return agreement.median, agreement.p95


def ceilings(ranges: Mapping[str, TensorRange], observer: Observer) -> dict[str, float]:
    """By tensor."""
    return {name: found.ceiling(observer, 99.99) for name, found in ranges.items()}


if __name__ == "__main__":
    main()
