"""Branches of a model, read off its module paths: one a modality, and what comes behind them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import takewhile
from typing import TYPE_CHECKING

from edge.compress.precision_plan import PrecisionPlan, PrecisionRule, expanded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ENCODERS = ("encoder", "encoders", "backbone", "backbones")


def branches_of(layers: Sequence[str], modalities: Sequence[str], globs: Sequence[str] = ()) -> dict[str, str]:
    """The branch of every layer.

    A layer that a glob matches (or that lies in such a module) belongs to the first such glob. Others belong to the
    module named after a modality that they lie in (`encoders.camera`), or else to their outermost module (`fusion`,
    `heads`), without what all layers have in common (`model.`).
    """
    modules = [name.split(".")[:-1] for name in layers]
    outside = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*modules, strict=False)))
    return {name: _branch(name, outside, modalities, globs) for name in layers}


def default_prior(branches: Iterable[str], modalities: Sequence[str]) -> PrecisionPlan:
    """Encoders INT8, fusion and heads FP16: what published camera-lidar networks were found to bear.

    A branch is an encoder if it bears the name of a modality, or has `encoder` or `backbone` in its path.
    """
    names = dict.fromkeys(branches)
    encoders = [b for b in names if {*modalities, *_ENCODERS} & set(b.split("."))]
    rules = [PrecisionRule(layers=glob, precision="int8") for glob in expanded(tuple(encoders))]
    return PrecisionPlan(rules=(*rules, PrecisionRule(layers="*", precision="fp16")))


def _branch(name: str, outside: int, modalities: Sequence[str], globs: Sequence[str]) -> str:
    for glob in globs:
        if any(fnmatchcase(name, g) for g in expanded((glob,))):
            return glob
    parts = name.split(".")
    named = next((i for i, part in enumerate(parts) if part in modalities), outside)
    return ".".join(parts[: named + 1])
