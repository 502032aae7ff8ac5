"""Our INT8 against the peers' on the same trained models, the same float graphs and the same calibration samples.

    python benchmarks/compression/compare.py [--model NAME ...] [--side NAME ...] [--seeds 3] [--write-only]

Scores are what the Q/DQ graphs say in every modality state, whatever the host; where its integer kernels compute
something else (x86 without VNNI), what they give is listed beside. Models are trained at the first run and kept in
--cache, with the data; results of sides are kept there too and made again when something they depend on changes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import page
from measured_models import MODELS, ROOT, train_or_load
from measurements import measure_float, measure_side
from peer_venv import PeerMissingError
from results import write_result
from shared_inputs import share_inputs
from sides import SIDES
from speed import speed_ratios
from summary import SeedResult, summarize

from edge.runtime.atomic import atomic_file
from edge.runtime.errors import EdgeError
from edge.runtime.statistics import paused_collector

if TYPE_CHECKING:
    from measured_models import MeasuredModel
    from sides import Side

RESULT = ROOT / "benchmarks" / "results" / "compression.json"
PAGE = ROOT / "benchmarks" / "results_compression.md"
CACHE = Path(os.environ.get("EDGE_BENCH_CACHE", ROOT / "runs" / "bench_compress"))
RECORDINGS = ROOT.parent / "shared" / "data"


def main() -> int:
    """Measures, merges into the result file and writes the page; exit code 2 for a user's mistake."""
    arguments = parse()
    torch.set_num_threads(1)
    chosen = [side for side in SIDES if not arguments.side or side.name in arguments.side]
    try:
        for measured in MODELS if not arguments.write_only else ():
            if not arguments.model or measured.name in arguments.model:
                add_result(arguments.out, measured.name, compare(measured, chosen, arguments))
        write_page(arguments.out, arguments.page)
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=[m.name for m in MODELS])
    parser.add_argument("--side", action="append", choices=[s.name for s in SIDES])
    parser.add_argument("--seeds", type=int, default=1, help="how many: 0, 1, ...")
    parser.add_argument("--rounds", type=int, default=60, help="of timing, all sides in turns")
    parser.add_argument("--cache", type=Path, default=CACHE, help="EDGE_BENCH_CACHE, or runs/bench_compress")
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="the real data of AV digits")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--write-only", action="store_true", help="only write the page from the result file")
    return parser.parse_args()


def compare(measured: MeasuredModel, chosen: list[Side], arguments: argparse.Namespace) -> dict[str, Any]:
    """All sides on one model, all seeds; timed with the first."""
    results, failures = [], {}
    for seed in range(arguments.seeds):
        result, failed = compare_seed(measured, chosen, seed, arguments)
        results.append(result)
        failures |= failed
    first = results[0]
    graphs = {"FP32": first.fp32.graph, **{name: m.graph for name, m in first.sides.items()}}
    print(f"{measured.name}: timing {len(graphs)} graphs in turns", flush=True)
    speeds = speed_ratios(graphs, first.feeds, arguments.rounds)
    return summarize(measured, results, speeds, failures)


def compare_seed(
    measured: MeasuredModel, chosen: list[Side], seed: int, arguments: argparse.Namespace
) -> tuple[SeedResult, dict[str, str]]:
    """One model of one seed; sides that cannot run, with the reason."""
    name = f"{measured.name}-{seed}"
    trained = train_or_load(
        measured, seed, arguments.cache, arguments.recordings, lambda line: print(f"{name}: {line}", flush=True)
    )
    inputs, test = share_inputs(trained, arguments.cache / "inputs" / name), trained.bench.measurer.test
    done, failed = {}, {}
    for side in chosen:
        print(f"{name}: {side.name}", flush=True)
        try:
            with paused_collector():
                done[side.name] = measure_side(side, inputs, test, arguments.cache / "sides" / name)
        except (PeerMissingError, RuntimeError) as error:
            failed[side.name] = str(error)
            print(f"{name}: {side.name} did not run: {error}", flush=True)
    return SeedResult(seed, trained, inputs, measure_float(inputs, test), done), failed


def add_result(path: Path, model: str, result: dict[str, Any]) -> None:
    """Puts one model's result into the file; those of other models stay as they are."""
    known = json.loads(path.read_text(encoding="utf-8"))["models"] if path.exists() else {}
    order = [m.name for m in MODELS]
    merged = {**known, model: result}
    write_result(path, {"models": {name: merged[name] for name in order if name in merged}})


def write_page(result: Path, target: Path) -> None:
    """The Markdown page of a result file."""
    with atomic_file(target) as draft:
        draft.write_text(page.write(json.loads(result.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
