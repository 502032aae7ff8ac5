"""The whole chain over several seeds: teacher, taught student, pruned to a latency, INT8; Torch-Pruning beside.

    python benchmarks/compression/chain.py PROJECT.yaml [--seeds 0 1 2] [--share 0.62] [--write-only]

Teacher and student are those of `distillation.py` with the whole training split, trained there or here, whoever comes
first. Both pruners start from the same student, rank by Taylor importance on the same batches, round to the same
widths, are driven to the same share of the student's latency as timed here, and are tuned by the same teacher as long.
Ours tunes several plans of that latency briefly and goes on with the best of them, Torch-Pruning has no such step.
Losses are paired over the test samples of all seeds, with intervals over recordings. Finished sides are kept in --work.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from chain_page import write as write_page
from chain_results import PRUNED, QUANTIZED, STUDENT, TEACHER, SeedOutcome, Shelf, Side, summarize
from distillation import Study, distill_stage, open_study, with_seed
from distillation_tables import TAUGHT
from distillation_tables import TEACHER as TEACHER_ARM
from results import write_result
from speed import all_ratios
from torch_pruning_side import TorchPruningRun

from edge.compress.distill.teaching import teach
from edge.compress.prune.config import LatencyTarget, RivalConfig
from edge.compress.recipe import Recipe, run_recipe
from edge.compress.stages.handlers import taylor_losses
from edge.compress.stages.stage import Artifact, CompressionContext, PruneStage, QuantizeStage
from edge.project import load_project
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import EdgeError
from edge.workbench import open_workbench

if TYPE_CHECKING:
    from edge.compress.stages.measure import MeasuredStage
    from edge.workbench import Workbench

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "chain.json"
PAGE = ROOT / "benchmarks" / "results_chain.md"
PEERS = {"Torch-Pruning, uniform": False, "Torch-Pruning, global": True}
ROUNDS = 60


@dataclass(frozen=True)
class Chain:
    """One seed of a study.

    Attributes:
        study: Teacher and student.
        bench: Data and measurer of the same project.
        seed: Of both.
        prune: To a latency.
        folder: Where what is finished is kept.
    """

    study: Study
    bench: Workbench
    seed: int
    prune: PruneStage
    folder: Path

    def outcome(self) -> SeedOutcome:
        """Everything made that is not kept, measured, and timed."""
        teacher, student = self.study.model(TEACHER_ARM, self.seed), self.study.model(TAUGHT, self.seed)
        measure = self.bench.measurer
        context = CompressionContext(self.bench.task, self.bench.train, teacher, lambda: student)
        first = measure(Artifact(TEACHER, teacher), None, 0.0, None)
        second = measure(Artifact(STUDENT, student), distill_stage(self.study.project), 0.0, first)
        sides = {TEACHER: Side.of(first), STUDENT: Side.of(second)}
        shelf = Shelf(self.folder)
        for name, everywhere in PEERS.items():
            sides[name] = shelf.side(name, partial(self._peer, second, context, name, everywhere))
        print(f"seed {self.seed}: edge", flush=True)
        recipe = Recipe(stages=(self.prune, self._quantize()))
        store = self.bench.stage_store(self.folder / "recipe", teacher)
        sides |= {stage.record.name: Side.of(stage) for stage in run_recipe(recipe, second, context, measure, store)}
        return self._timed(sides)

    def _quantize(self) -> QuantizeStage:
        found = next(s for s in self.study.project.recipe.stages if isinstance(s, QuantizeStage))
        return found.model_copy(update={"name": QUANTIZED, "gate": None})

    def _peer(self, student: MeasuredStage, context: CompressionContext, side: str, everywhere: bool) -> MeasuredStage:
        print(f"seed {self.seed}: {side}", flush=True)
        target, prune = self.prune.prune.latency, self.prune
        assert target is not None
        assert target.ratio is not None
        run = TorchPruningRun(
            example=self.bench.measurer.example_inputs(),
            losses=taylor_losses(prune.fit, context),
            outputs=lambda model: [list(head.modules())[-1] for head in model.get_submodule("heads").children()],
            align=prune.prune.align,
            max_ratio=prune.prune.max_ratio,
            everywhere=everywhere,
        )
        slim = run.to_latency(student.artifact.model, target.ratio)
        if slim is None:
            raise RuntimeError(f"no ratio of {side} holds {target.ratio}")
        teach(slim, context.teacher, context.train, context.task, prune.distill, prune.fit)
        return self.bench.measurer(Artifact(side, slim), prune, 0.0, student)

    def _timed(self, sides: dict[str, Side]) -> SeedOutcome:
        graphs = {name: side.graph for name, side in sides.items()}
        ratios = all_ratios(graphs, self.bench.example_feeds(1)[0], (TEACHER, STUDENT), ROUNDS)
        return SeedOutcome.of(self.seed, sides, ratios)


def main() -> int:
    """Runs the seeds that are not kept, writes the JSON and the page; exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=0.62, help="of the student's latency that may stay")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "distillation")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--write-only", action="store_true", help="only write the page from the result file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        if not arguments.write_only:
            write_result(arguments.out, run(arguments))
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    with atomic_file(arguments.page) as draft:
        draft.write_text(write_page(json.loads(arguments.out.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The result file's content."""
    project = load_project(arguments.project)
    bench = open_workbench(project, project.data.path)
    study = open_study(project, len(bench.train), arguments.work)
    outcomes = []
    for seed in arguments.seeds:
        folder = study.work / f"chain-{seed}-{arguments.share:g}"
        outcomes.append(Chain(study, bench, seed, prune_stage(study, seed, arguments.share), folder).outcome())
    return summarize(bench, outcomes, arguments.share)


def prune_stage(study: Study, seed: int, share: float) -> PruneStage:
    """The recipe's own, driven to a measured latency."""
    found = next(s for s in study.project.recipe.stages if isinstance(s, PruneStage))
    config = found.prune.model_copy(
        update={"macs_ratio": None, "latency": LatencyTarget(ratio=share), "rivals": RivalConfig()}
    )
    return found.model_copy(update={"name": PRUNED, "gate": None, "prune": config, "fit": with_seed(found.fit, seed)})


if __name__ == "__main__":
    sys.exit(main())
