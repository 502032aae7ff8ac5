"""The truth that training learns from and runs are scored with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.runtime.simulate.microphone import EVENTS, StreetMicrophone

if TYPE_CHECKING:
    from edge.runtime.simulate.camera import View
    from edge.runtime.simulate.sensors import Sensors
    from edge.runtime.simulate.slabs import Floats
    from edge.runtime.simulate.street import Snapshot, Street

MIN_SHARE = 0.25
MIN_HEARD_S = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class GridLabels:
    """What each cell of a grid over the camera's image shows.

    Attributes:
        classes: int64 `[h, w]`, 0 where no object covers a quarter of the cell, else 1 + index into `CLASSES`
            of the object that covers most of it.
        distance_m: float32 `[h, w]`, that object's median optical depth in the cell; 0 in background cells.
    """

    classes: NDArray[np.int64]
    distance_m: Floats


@dataclass(frozen=True, slots=True, eq=False)
class EventLabels:
    """What can be heard in a window: float32 `[len(EVENTS)]` of 0 and 1, in the order of `EVENTS`."""

    heard: Floats


class Labels(NamedTuple):
    """The truth of one anchor."""

    grid: GridLabels
    events: EventLabels


def grid_labels(view: View, snapshot: Snapshot, grid: tuple[int, int]) -> GridLabels:
    """Labels of the instant that `view` was taken at; night and fog do not change them.

    Args:
        view: Depth and objects behind the pixels.
        snapshot: The same instant.
        grid: Rows and columns of cells.
    """
    cells, count = _cells(view.things.shape, grid), grid[0] * grid[1]
    kinds = np.array([thing.body.kind for thing in snapshot.things], np.int64)
    on_thing = np.flatnonzero(view.things.ravel() >= 0)
    cell, thing = cells.ravel()[on_thing], view.things.ravel()[on_thing]
    pixels = np.bincount(cell * len(kinds) + thing, minlength=count * len(kinds)).reshape(count, -1)
    if pixels.size == 0:
        return GridLabels(np.zeros(grid, np.int64), np.zeros(grid, np.float32))
    winner = pixels.argmax(1)
    enough = pixels.max(1) >= MIN_SHARE * np.bincount(cells.ravel(), minlength=count)
    classes = np.where(enough, kinds[winner], 0)
    chosen = (thing == winner[cell]) & enough[cell]
    distance = _medians(cell[chosen], view.depth.ravel()[on_thing[chosen]], count)
    return GridLabels(classes.reshape(grid), distance.reshape(grid))


def event_labels(microphone: StreetMicrophone, street: Street, t_end_s: float, n_samples: int) -> EventLabels:
    """Which events sound for a quarter of a second or more in the window that ends at `t_end_s`."""
    heard = microphone.heard_s(street, t_end_s, n_samples)
    return EventLabels(np.array([heard[event] >= MIN_HEARD_S for event in EVENTS], np.float32))


def label(sensors: Sensors, street: Street, t_s: float, grid: tuple[int, int], window_samples: int) -> Labels:
    """The truth at an instant.

    Args:
        sensors: Of the rig; the camera's view carries the grid.
        street: What they sense.
        t_s: The anchor's instant, seconds.
        grid: Rows and columns of cells.
        window_samples: Length of the audio window that ends at the instant.
    """
    snapshot = street.snapshot_at(t_s)
    return Labels(
        grid_labels(sensors.camera.look(snapshot), snapshot, grid),
        event_labels(sensors.microphone, street, t_s, window_samples),
    )


def _cells(shape: tuple[int, ...], grid: tuple[int, int]) -> NDArray[np.int64]:
    rows = np.arange(shape[0]) * grid[0] // shape[0]
    columns = np.arange(shape[1]) * grid[1] // shape[1]
    return np.asarray(rows[:, None] * grid[1] + columns[None], np.int64)


def _medians(cell: NDArray[np.int64], depth: Floats, count: int) -> Floats:
    """The (upper) median depth of each cell, 0 where there is none."""
    order = np.lexsort((depth, cell))
    sizes = np.bincount(cell, minlength=count)
    starts = np.cumsum(sizes) - sizes
    medians = np.zeros(count, np.float32)
    filled = sizes > 0
    medians[filled] = depth[order][(starts + sizes // 2)[filled]]
    return medians
