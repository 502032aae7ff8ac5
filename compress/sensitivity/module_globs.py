"""Sets of layers as the fewest globs on module paths, so that settings and plans can be read and edited."""

from __future__ import annotations

from collections import Counter
from glob import escape
from typing import TYPE_CHECKING

from edge.compress.precision_plan import PrecisionPlan, PrecisionRule

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edge.compress.precision_plan import PlannedPrecision

EVERYTHING = "*"


def covering(chosen: Collection[str], names: Collection[str]) -> tuple[str, ...]:
    """The fewest module paths that hold all of `chosen` and none of the other `names`; `*` where that is all.

    Args:
        chosen: Some of `names`.
        names: Paths of layers, none of which lies inside another.
    """
    kept = set(chosen)
    others = [name for name in names if name not in kept]
    if kept and not others:
        return (EVERYTHING,)
    blocked = {path for name in others for path in _prefixes(name)}
    outermost = (next((p for p in _prefixes(name) if p not in blocked), name) for name in names if name in kept)
    return tuple(dict.fromkeys(map(escape, outermost)))


def plan_of_layers(precisions: Mapping[str, PlannedPrecision], products: PlannedPrecision = "fp32") -> PrecisionPlan:
    """A plan that gives every named layer its precision, by few rules: exceptions first, then what most layers have.

    Args:
        precisions: By layer.
        products: Of two activations.
    """
    if not precisions:
        return PrecisionPlan(products=products)
    counts = Counter(precisions.values())
    common = max(counts, key=lambda p: (counts[p], p))
    rules = [rule for precision in sorted(counts) if precision != common for rule in _rules(precisions, precision)]
    rules.append(PrecisionRule(layers=EVERYTHING, precision=common))
    return PrecisionPlan(rules=tuple(rules), products=products)


def _rules(precisions: Mapping[str, PlannedPrecision], wanted: PlannedPrecision) -> list[PrecisionRule]:
    """A rule for every outermost path below which all layers have the wanted precision."""
    others = {name for name, precision in precisions.items() if precision != wanted}
    blocked = {path for name in others for path in _prefixes(name)}
    globs: dict[str, None] = {}
    for name in (name for name, precision in precisions.items() if precision == wanted):
        outermost = next((path for path in _prefixes(name) if path not in blocked), None)
        if outermost is None or outermost in precisions:
            globs[escape(outermost or name)] = None
        if outermost is not None and any(other.startswith(f"{outermost}.") for other in precisions):
            globs[f"{escape(outermost)}.*"] = None
    return [PrecisionRule(layers=glob, precision=wanted) for glob in globs]


def _prefixes(path: str) -> list[str]:
    """`a`, `a.b`, `a.b.c` of `a.b.c`."""
    parts = path.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
