"""What showing a run costs it: one run in real time whose view is given some blocks of results and not others.

    python benchmarks/live_view.py runs/demo/bundle [--minutes 8] [--out benchmarks/results/live_view.json]

Blocks of twenty results are drawn to be `with` a view (`--view-save`), `without`, or `again`, which is without as well:
what else the machine does meanwhile meets all three alike, and `again` over `without` says how far it repeats itself.
Of every result the time of its stages and the age of its oldest sample are kept. A ratio is that of a percentile of all
results of a kind; its interval is a bootstrap over blocks. On a busy machine the p99 is the other work's: where the
interval holds the limit the verdict is `undecided`. What handing a moment over takes is timed as well. The street is
rendered before and repeated from memory; where it begins anew a result is blind, and is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from results import write_result

from edge.run_engine import open_engine
from edge.runtime.bundle import Bundle
from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.fusion import complete_rig
from edge.runtime.pipeline import Pipeline, RunSettings
from edge.runtime.sinks.rerun_view.live_view import LiveView
from edge.runtime.sinks.rerun_view.output import ViewOutput
from edge.runtime.sinks.rerun_view.rerun_scene import RerunScene
from edge.runtime.sources.simulator import SimulatorSource
from edge.runtime.statistics import Distribution, percentile, replicate_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.runtime.fusion import Inference
    from edge.runtime.result import FusedResult
    from edge.runtime.sample import Sample

KINDS = ("without", "again", "with")
BLOCK = 20  # results
CARRIED = 2  # of a block's first, which what was shown before may still touch
COLD_BLOCKS = 3
RENDERED_S = 20
RESAMPLES = 2000
LIMIT = 1.05  # of the p99
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class RepeatedStreet:
    """A street that was rendered before, again and again."""

    description = "simulated street, repeated"

    def __init__(self, seed: int) -> None:
        street = SimulatorSource(seed=seed, duration_s=RENDERED_S)
        self.rig, self._samples = street.rig, list(street.samples())

    def samples(self) -> Iterator[Sample]:
        """Without end."""
        for turn in count():
            later_ns, further = turn * RENDERED_S * NS_PER_S, turn * len(self._samples)
            for s in self._samples:
                stamp_ns, arrival_ns = s.stamp_ns + later_ns, s.arrival_ns + later_ns
                yield replace(s, stamp_ns=stamp_ns, arrival_ns=arrival_ns, seq=s.seq + further)


@dataclass
class Blocks:
    """Notes what each result took, and passes those of some blocks on to a view.

    Attributes:
        view: Shows them.
        seed: Draws the order of kinds, every three blocks anew.
        taken: By kind, for each block the stages and ages of its results, ms.
        handed_ns: What each call of the view took.
    """

    view: LiveView
    seed: int
    taken: dict[str, list[list[tuple[float, float]]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    handed_ns: list[int] = field(default_factory=list)
    _number: int = 0
    _order: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = np.random.default_rng(self.seed)

    def note(self, inference: Inference, result: FusedResult) -> None:
        """One result."""
        block, place = divmod(self._number, BLOCK)
        self._number += 1
        if place == 0:
            self._order = self._order[1:] or [str(kind) for kind in self._draw.permutation(KINDS)]
            self.taken[self._order[0]].append([])
        kind = self._order[0]
        if kind == "with":
            start_ns = time.perf_counter_ns()
            self.view.show(inference, result)
            self.handed_ns.append(time.perf_counter_ns() - start_ns)
        if inference.times is not None and result.ages_ms and place >= CARRIED and block >= COLD_BLOCKS:
            stages_ms = sum(taken for taken in inference.times if taken is not None) / NS_PER_MS
            self.taken[kind][-1].append((stages_ms, max(result.ages_ms.values())))

    def values(self, kind: str, column: int) -> list[list[float]]:
        """By block; those that hold any."""
        return [[row[column] for row in rows] for rows in self.taken[kind] if rows]


def watch(bundle: Bundle, seed: int, minutes: float) -> tuple[Blocks, str]:
    """The run; its blocks, and the engine that ran."""
    chosen, source = open_engine(bundle), RepeatedStreet(seed)
    with tempfile.TemporaryDirectory() as folder:
        output = ViewOutput(window=False, path=Path(folder) / "view.rrd")
        view = LiveView(RerunScene(output, complete_rig(source.rig, bundle), bundle.model_io))
        blocks = Blocks(view, seed)
        settings = RunSettings(realtime=True, duration_s=60 * minutes)
        try:
            Pipeline(bundle, source, chosen.engine, settings=settings, on_fused=blocks.note).run()
        finally:
            view.close(complete=True)
    return blocks, chosen.engine.name


def ratio(side: Sequence[Sequence[float]], base: Sequence[Sequence[float]], share: float, seed: int) -> dict[str, Any]:
    """That of a percentile of both, with an interval over blocks."""
    found = [percentile(np.concatenate(blocks), share) for blocks in (side, base)]
    if found[0] is None or found[1] is None:
        raise SystemExit(f"too few results of a kind to hold {share}: make --minutes longer")
    draw, replicates = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        drawn = ([blocks[i] for i in draw.integers(0, len(blocks), len(blocks))] for blocks in (side, base))
        top, bottom = (float(np.quantile(np.concatenate(blocks), share)) for blocks in drawn)
        replicates.append(top / bottom)
    interval = replicate_interval(found[0] / found[1], np.array(replicates), min(len(side), len(base)))
    return {"ratio": interval.estimate, "interval": [interval.low, interval.high]}


def verdict(low: float, high: float) -> str:
    """Of an interval of a ratio that may be `LIMIT`."""
    if high <= LIMIT:
        return "within"
    return "beyond" if low > LIMIT else "undecided"


def main() -> int:
    """Measures, prints a line a figure; 3 where the view has been shown to cost more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load = [os.getloadavg()[0]]
    blocks, engine = watch(Bundle.open(options.bundle), options.seed, options.minutes)
    handed = Distribution.of(blocks.handed_ns, 1000).to_json()
    view = {"handed_over_us": handed, "counts": blocks.view.counts}
    found: dict[str, Any] = {"engine": engine, "minutes": options.minutes, "seed": options.seed, "view": view}
    load.append(os.getloadavg()[0])
    found |= {"limit": LIMIT, "load before and after": load}
    for column, what in enumerate(("stages_ms", "age_ms")):
        by_kind = {kind: blocks.values(kind, column) for kind in KINDS}
        rows = {kind: Distribution.of(np.concatenate(values)).to_json() for kind, values in by_kind.items()}
        found[what] = {**rows, "over without": {}}
        for name, share in SHARES.items():
            ratios = {side: ratio(by_kind[side], by_kind["without"], share, options.seed) for side in ("with", "again")}
            found[what]["over without"][name] = ratios
            for side, one in ratios.items():
                low, high = one["interval"]
                print(f"{name} of {what}, {side} over without: {one['ratio']:.3f} ({low:.3f} to {high:.3f})")
        found[what]["verdict"] = verdict(*found[what]["over without"]["p99"]["with"]["interval"])
        print(f"p99 of {what}: {found[what]['verdict']}")
    print(f"the view: {view}")
    if options.out:
        write_result(options.out, found)
    return 3 if "beyond" in {found[what]["verdict"] for what in ("stages_ms", "age_ms")} else 0


if __name__ == "__main__":
    sys.exit(main())
