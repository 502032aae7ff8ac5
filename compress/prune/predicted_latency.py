"""What any choice of widths should take: the sum of its layers, each between widths that were timed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from edge.compress.prune.layer_graph import single_layer_graph
from edge.compress.prune.width_table import WidthTable, load_width_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

    from edge.compress.prune.latency_source import LatencySource
    from edge.compress.prune.layer_shapes import LayerShape, LayerUse
    from edge.compress.prune.search import Candidates

KNOTS = 4  # widths of each side of a layer that are timed, from the narrowest to the full one


@dataclass(frozen=True, eq=False)
class LayerGrid:
    """A layer between the widths that it may get.

    Attributes:
        use: The layer.
        entering: Timed widths of what enters, ascending.
        leaving: Timed widths of what leaves, ascending.
        ms: `[entering, leaving]`; never falls with a width, as noise would have it.
    """

    use: LayerUse
    entering: tuple[int, ...]
    leaving: tuple[int, ...]
    ms: NDArray[np.float64]

    def at(self, entering: int, leaving: int) -> float:
        """Milliseconds by bilinear interpolation."""
        over = np.array([np.interp(leaving, self.leaving, row) for row in self.ms])
        return float(np.interp(entering, self.entering, over))


@dataclass(frozen=True, eq=False)
class PredictedLatency:
    """Milliseconds of all layers of a model by the widths of its groups.

    Attributes:
        candidates: The groups.
        grids: Layer by layer.
        table: What was timed for them.
        rest_ms: What the whole graph takes beside them, which no width changes.
    """

    candidates: Candidates
    grids: tuple[LayerGrid, ...]
    table: WidthTable
    rest_ms: float = 0.0

    def ms(self, counts: Mapping[str, int]) -> float:
        """All layers together, and the rest."""
        gone = self.candidates.positions_gone(counts)
        return self.rest_ms + fsum(
            grid.at(*layer_widths(self.candidates, grid.use, gone, counts)) for grid in self.grids
        )


def predict_latency(
    candidates: Candidates,
    narrowest: Mapping[str, int],
    source: LatencySource,
    whole: onnx.ModelProto,
    path: Path | None = None,
) -> PredictedLatency:
    """Times each layer at a few widths, those that the table at `path` does not hold yet.

    Args:
        candidates: The groups.
        narrowest: The least width that each group may get.
        source: Whose milliseconds they are.
        whole: The unpruned graph.
        path: Of the width table; it is written again when it has grown.

    Raises:
        ConfigError: The file is no width table, or one of another source.
    """
    known = WidthTable(source=source.name, precision=source.precision)
    table = known if path is None else load_width_table(path, source.name, source.precision)
    gone = candidates.positions_gone(narrowest)
    knots = [(use, *_knots(candidates, use, gone, narrowest)) for use in candidates.graph.uses]
    shapes = {s.key: s for use, into, out in knots for s in _shapes(use.shape, into, out)}
    missing = {key: shape for key, shape in shapes.items() if key not in table.ms}
    if missing:
        timed = source.undisturbed_ms([single_layer_graph(shape) for shape in missing.values()])
        table = table.with_rows(dict(zip(missing, timed, strict=True)))
        if path is not None:
            table.save(path)
    grids = tuple(LayerGrid(use, into, out, _filled(use.shape, into, out, table)) for use, into, out in knots)
    layers = PredictedLatency(candidates, grids, table)
    return replace(layers, rest_ms=max(0.0, source.undisturbed_ms([whole])[0] - layers.ms({})))


def layer_widths(
    candidates: Candidates, use: LayerUse, gone: Mapping[tuple[str, int], int], counts: Mapping[str, int]
) -> tuple[int, int]:
    """What enters and what leaves a layer; of a product, how many matrices it multiplies.

    Args:
        candidates: The groups.
        use: The layer.
        gone: Positions that tensors lose with `counts`.
        counts: Channels that groups keep.
    """
    if use.weight is None:
        matrices = use.shape.entering[0]
        group = next((g for g in candidates.groups if g.name == use.heads), None)
        kept = counts.get(group.name, group.size) if group else 1
        return (matrices * kept // group.size if group else matrices), 1
    first, second = (use.shape.weight[dim] - gone.get((use.weight, dim), 0) for dim in (0, 1))
    if use.shape.operator == "MatMul":
        return second, first
    groups = use.shape.groups
    if 1 < groups == use.shape.entering[1]:  # depthwise: what enters follows what leaves
        return groups * first // use.shape.weight[0], first
    return (second * groups, first) if use.shape.operator == "Conv" else (first, second * groups)


def _knots(
    candidates: Candidates, use: LayerUse, gone: Mapping[tuple[str, int], int], narrowest: Mapping[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Timed widths of both sides; one that stays as it is has one."""
    full = layer_widths(candidates, use, {}, {})
    least = layer_widths(candidates, use, gone, narrowest)
    step = use.shape.groups if use.weight else 1
    into, out = (_between(low, high, step) for low, high in zip(least, full, strict=True))
    return into, out


def _between(low: int, high: int, step: int) -> tuple[int, ...]:
    """A few widths from `low` to `high`, on multiples of 8 where there is room, and of what the layer's groups need."""
    step = step * 8 if high - low >= 8 * step * KNOTS else step
    inner = (round(width / step) * step for width in np.linspace(low, high, KNOTS)[1:-1])
    return tuple(sorted({low, high, *(width for width in inner if low < width < high)}))


def _shapes(shape: LayerShape, entering: Sequence[int], leaving: Sequence[int]) -> list[LayerShape]:
    if _is_depthwise(shape):
        multiplier = shape.weight[0] // shape.groups if shape.operator == "Conv" else 1
        return [shape.resized(into, into * multiplier) for into in entering]
    return [shape.resized(into, out) for into in entering for out in leaving]


def _is_depthwise(shape: LayerShape) -> bool:
    return 1 < shape.groups == shape.entering[1]


def _filled(
    shape: LayerShape, entering: Sequence[int], leaving: Sequence[int], table: WidthTable
) -> NDArray[np.float64]:
    ms = np.array([table.ms[s.key] for s in _shapes(shape, entering, leaving)])
    ms = np.repeat(ms[:, None], len(leaving), axis=1) if _is_depthwise(shape) else ms.reshape(len(entering), -1)
    return np.maximum.accumulate(np.maximum.accumulate(ms, axis=0), axis=1)
