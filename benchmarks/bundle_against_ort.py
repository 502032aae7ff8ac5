"""A bundle's INT8 against ONNX Runtime's own static U8S8 of the same FP32 graph: speed, size and score.

Run after `edge demo`: python benchmarks/bundle_against_ort.py runs/demo [--rounds 300] [--out FILE.json]
Both are calibrated on samples of the same training split, timed alternately on one thread, and scored on the
same test samples with everything present.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
import yaml

from edge.compress.scoring.evaluation import evaluate
from edge.compress.stages.measure import onnx_runner
from edge.project import Project
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.statistics import compare
from edge.workbench import Workbench, open_workbench

sys.path.insert(0, str(Path(__file__).parent))
from int8_speed import quantize_by_onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_SAMPLES = 256
DIALECTS = {"ours": "u8", "onnxruntime": "u8", "fp32": "fp32"}


def main() -> None:
    """Prints one line a comparison; writes them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="what `edge demo --out` or `edge compress --out` wrote")
    parser.add_argument("--data", type=Path, help="dataset folder; DEMO/data by default")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.demo / "bundle")
    project = Project.model_validate(yaml.safe_load(bundle.text("recipe.yaml")))
    bench = open_workbench(project, arguments.data or arguments.demo / "data")
    result = measure(bundle, bench, arguments.rounds)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(bundle: Bundle, bench: Workbench, rounds: int) -> dict[str, object]:
    """Our u8 graph (A) against ONNX Runtime's (B): a ratio above 1 means that ours is faster."""
    theirs = quantize_by_onnxruntime(onnx.load_from_string(bundle.graph("fp32")), calibration_feeds(bench))
    graphs = {"ours": bundle.graph("u8"), "onnxruntime": theirs, "fp32": bundle.graph("fp32")}
    feed = bench.example_feeds(1)[0]
    engines = {name: OnnxRuntimeEngine(graph, DIALECTS[name]) for name, graph in graphs.items()}
    runs = {name: lambda engine=engine: engine.run(feed) for name, engine in engines.items()}
    comparison = compare(runs["ours"], runs["onnxruntime"], rounds=rounds)
    over_fp32 = compare(runs["ours"], runs["fp32"], rounds=rounds)
    return {
        "speed_over_onnxruntime": comparison.to_json(),
        "speed_over_fp32": over_fp32.to_json(),
        "bytes": {name: len(graph) for name, graph in graphs.items()},
        "score_all": {name: score(graph, DIALECTS[name], bench) for name, graph in graphs.items()},
    }


def calibration_feeds(bench: Workbench) -> list[dict[str, NDArray[np.float32]]]:
    """Training samples at batch 1, everything present."""
    names, generator = bench.measurer.input_names, torch.Generator().manual_seed(0)
    order = torch.randperm(len(bench.train), generator=generator)
    drawn = bench.train.subset(order[:CALIBRATION_SAMPLES].tolist())
    present = np.ones((1, len(drawn.inputs)), np.float32)
    return [
        dict(zip(names, (*(t[i : i + 1].numpy() for t in drawn.inputs), present), strict=True))
        for i in range(len(drawn))
    ]


def score(graph: bytes, dialect: str, bench: Workbench) -> float:
    """Points on the test split, everything present."""
    measurer = bench.measurer
    run = onnx_runner(graph, dialect, measurer.input_names, measurer.output_names)
    return evaluate(run, measurer.test, bench.task, states=["all"], batch_size=1)["all"]["score"]


if __name__ == "__main__":
    main()
