"""The sweep: every layer and every branch alone at INT8 and at FP16, in every modality state.

One at a time and not all but one: distances near the float model add up, and a layer behind a broken one still shows
its own. Distances, which few samples settle, are taken of all; the score, which moves by whole samples, of branches and
of the most sensitive layers on the whole split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from edge.compress.parallel.collectives import gather_values
from edge.compress.parallel.ranks import current_ranks
from edge.compress.sensitivity.distance import OutputDistance
from edge.compress.sensitivity.report import Sensitivity, SensitivityRow, Target, merge_shards
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.precision_plan import PlannedPrecision
    from edge.compress.sensitivity.swept_model import SweptModel

Item = TypeVar("Item")
Shard = tuple[int, int]  # this one, of how many
NARROW: tuple[PlannedPrecision, ...] = ("int8", "fp16")


def sweep_distances(model: SweptModel, shard: Shard = (0, 1)) -> Sensitivity:
    """Distances of every layer and branch; shards of one sweep go to `merge_shards`.

    Args:
        model: What is swept.
        shard: Number of this process from 0, and how many share the work.

    Raises:
        ConfigError: There is no such shard.
    """
    items = _share(_items(model), shard)
    rows = tuple(_row(model, *item) for item in items)
    return Sensitivity(states=tuple(model.states), base=model.base, units=model.units, rows=rows)


def sweep_scores(model: SweptModel, distances: Sensitivity, shard: Shard = (0, 1)) -> Sensitivity:
    """This shard of the rows that are scored, with the points that they lose.

    They are the branches, and the layers that are most sensitive at INT8 or at FP16.

    Args:
        model: What is swept.
        distances: Of all shards.
        shard: Number of this process from 0, and how many share the work.

    Raises:
        ConfigError: There is no such shard.
    """
    leading = [row for precision in NARROW for row in distances.ranking(precision)[: model.config.scored]]
    wanted = [row for row in distances.rows if row.kind == "branch" or row in leading]
    rows = []
    for row in _share(wanted, shard):
        found = model.scores(model.alone(row.kind, row.target, row.precision))
        rows.append(row.model_copy(update={"lost": {s: model.base[s] - score for s, score in found.items()}}))
    return distances.model_copy(update={"rows": tuple(rows)})


def sweep(model: SweptModel) -> Sensitivity:
    """The whole sweep, its items spread over the processes of the job, with the same result on each of them."""
    ranks = current_ranks()
    shard = ranks.rank, ranks.world
    distances = merge_shards(_gathered(sweep_distances(model, shard)))
    scored = merge_shards(_gathered(sweep_scores(model, distances, shard)))
    return distances.scored({(r.kind, r.target, r.precision): r.lost for r in scored.rows})


def _gathered(part: Sensitivity) -> list[Sensitivity]:
    return [Sensitivity.model_validate(p) for p in gather_values(part.model_dump(mode="json", by_alias=True))]


def _items(model: SweptModel) -> list[tuple[Target, str, PlannedPrecision]]:
    layers: list[tuple[Target, str, PlannedPrecision]] = [
        ("layer", unit.name, precision) for unit in model.units for precision in NARROW if precision in unit.choices
    ]
    branches: dict[tuple[Target, str, PlannedPrecision], None] = {
        ("branch", unit.branch, precision): None
        for unit in model.units
        for precision in NARROW
        if precision in unit.choices
    }
    return [*layers, *branches]


def _share(items: Sequence[Item], shard: Shard) -> Sequence[Item]:
    rank, world = shard
    if not 0 <= rank < world:
        raise ConfigError(f"there is no shard {rank} of {world}", "count shards from 0")
    return items[rank::world]


def _row(model: SweptModel, kind: Target, target: str, precision: PlannedPrecision) -> SensitivityRow:
    run = model.emulated(model.alone(kind, target, precision))
    meters = {state: OutputDistance(model.task.output_kinds) for state in model.states}
    for (state, inputs), wanted in zip(model.compared(), model.reference, strict=True):
        meters[state].update(wanted, run(*inputs))
    found = {state: meter.result() for state, meter in meters.items()}
    return SensitivityRow(
        kind=kind,
        target=target,
        precision=precision,
        distance={state: d.nats for state, d in found.items()},
        sqnr_db={state: d.sqnr_db for state, d in found.items()},
    )
