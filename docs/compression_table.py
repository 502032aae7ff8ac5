"""The README's table of quantizers: what each loses in the modality state where it loses most, model by model."""

from __future__ import annotations

from typing import Any

SIDES = (
    "edge s8, min-max",
    "edge s8, equalized",
    "edge s8, mse, equalized, adaptive",
    "ONNX Runtime U8S8",
    "torchao PT2E, x86",
    "ModelOpt, max",
    "ModelOpt, entropy",
    "NNCF",
)


def compression_text(result: dict[str, Any]) -> str:
    """The table and what it was measured on, in Markdown.

    Args:
        result: What `make bench-compress` wrote.
    """
    models = list(result["models"].values())
    head = ("points lost, worst state", *(model["title"] for model in models))
    rows = [(side, *(_worst(model, side) for model in models)) for side in SIDES]
    lines = [head, ("---", *["---:"] * len(models)), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    seeds = ", ".join(str(len(model["seeds"])) for model in models)
    smaller = [model["sides"][SIDES[0]]["weights_smaller"] for model in models if SIDES[0] in model["sides"]]
    first = models[0]
    data = f"{first['test_samples']:,} test samples of {first['recordings']:,} recordings, seeds: {seeds}"
    return (
        f"{table}\n\nAgainst FP32, in the state where that side loses most, with the 95 % interval; {data}. Weights "
        f"get {min(smaller):.2f} to {max(smaller):.2f} times smaller. All sides share models and samples."
    )


def _worst(model: dict[str, Any], side: str) -> str:
    if side not in model["sides"]:
        return "did not run"
    lost = model["sides"][side]["lost"]
    state = max(lost, key=lambda name: lost[name]["estimate"])
    found = lost[state]
    return f"{found['estimate']:.2f} [{found['low']:.2f}, {found['high']:.2f}] `{state}`"
