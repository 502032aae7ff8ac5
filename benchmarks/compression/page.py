"""results_compression.md from the result file."""

from __future__ import annotations

from typing import Any

from tables import figure, table, times

Result = dict[str, Any]
INTRODUCTION = """# INT8, side by side

Written by `make bench-compress`. All sides quantize the same trained models, calibrated on the same samples (some
with modalities missing, for the models take any subset): ours from the torch module, the peers from the float ONNX
graph exported of it, torchao from the module by its own export. *Lost*: points of score against FP32 on the test
split, in every modality state; paired, with the 95 % interval of a bootstrap over whole recordings. A negative
loss is a gain. Scores are of the functions that the Q/DQ graphs say, on any host.

*Smaller*: all constants of the FP32 graph over all constants of this one. *Seconds*: processor time from float to
quantized, one thread; exporting is not in it, on either side. *Over FP32*, *over ORT*: how many times as fast as the
FP32 graph and as ONNX Runtime's U8S8, one thread, all graphs in turns, with the 95 % interval, then the range.
"""
SATURATING = """Speed was measured on {cpu} ({flags}), which has no VNNI: its integer kernels saturate U8 x S8 sums, so
what is timed there computes something else than what is scored, and VNNI hosts and boards have other ratios. *Native*
is the score of those kernels, everything present: what this kind of host would really give."""
SOUND = "Speed was measured on {cpu} ({flags}), whose integer kernels compute what the graphs say."


def write(result: Result) -> str:
    """The page."""
    lines = [INTRODUCTION]
    for model in result["models"].values():
        lines += section(model)
    return "\n".join(lines).rstrip() + "\n"


def section(model: Result) -> list[str]:
    """One model: accuracy, then size, time and speed."""
    seeds, fit = model["seeds"], model["fit"]
    host = model["host"]
    saturates = host["saturates_u8s8"]
    said = (SATURATING if saturates else SOUND).format(cpu=host["cpu"], flags=", ".join(host["cpu_flags"]))
    lines = [
        f"## {model['title']}",
        "",
        f"{model['parameters']:,} parameters, trained for {fit['epochs']} epochs of {fit['samples']:,} samples; "
        f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}; {model['calibration_samples']} calibration samples; "
        f"{model['test_samples']:,} test samples of {model['recordings']:,} recordings.",
        "",
        *accuracy(model, saturates),
        said,
        "",
        *costs(model),
    ]
    failed = [f"- {name}: {reason}" for name, reason in model["failed"].items()]
    return lines + (["Did not run:", "", *failed, ""] if failed else [])


def accuracy(model: Result, saturates: bool) -> list[str]:
    """Points lost by side and state; the first row is what there is to lose."""
    states = list(model["fp32"]["score"])
    native = ["native, all"] if saturates else []
    rows = [["FP32, score", *(f"{model['fp32']['score'][s]:.2f}" for s in states), *([""] if native else [])]]
    for name, side in model["sides"].items():
        cells = [lost(side["lost"][state]) for state in states]
        rows.append([name, *cells, *([f"{side['native_score_all']:.2f}"] if native else [])])
    return table(["lost", *states, *native], rows)


def costs(model: Result) -> list[str]:
    """Size, time and speed by side."""
    rows = []
    for name, side in model["sides"].items():
        ratios = [times(side[key]) if key in side else "" for key in ("over_fp32", "over_onnxruntime")]
        rows.append([name, f"{side['weights_smaller']:.2f}x", figure(side["cpu_seconds"]), *ratios])
    return table(["", "smaller", "seconds", "over FP32", "over ORT"], rows)


def lost(interval: Result) -> str:
    """Points with their interval."""
    return f"{interval['estimate']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"
