"""Rays against boxes: equal to a slow, separate computation ray by ray."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.runtime.simulate.slabs import FACES, FRONT, REAR, SIDE, TOP, Boxes, Fan, cast

ORIGIN = np.array([0.2, -0.1, 1.6], np.float32)


def _fan() -> Fan:
    across = np.linspace(0.8, -0.8, 41)
    return Fan(np.stack([np.ones(41), across], 1).astype(np.float32), np.linspace(0.3, -0.4, 23).astype(np.float32))


def _box(x: float, y: float, z: float, yaw: float, size: tuple[float, float, float] = (4.0, 2.0, 1.5)) -> Boxes:
    return Boxes(
        np.array([[x, y, z]], np.float32),
        np.array([[np.cos(yaw), np.sin(yaw)]], np.float32),
        np.array([[length / 2 for length in size]], np.float32),
    )


def _first_meeting(boxes: Boxes, ray: NDArray[np.float64]) -> float:
    """Clips one ray by the six planes of a box, one after the other."""
    cos, sin = boxes.headings[0].astype(np.float64)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    start, way = turn @ (ORIGIN.astype(np.float64) - boxes.centres[0]), turn @ ray
    enter, leave = 0.0, np.inf
    for axis in range(3):
        half = float(boxes.halves[0, axis])
        if abs(way[axis]) < 1e-12:
            if abs(start[axis]) > half:
                return float("inf")
            continue
        one, other = (-half - start[axis]) / way[axis], (half - start[axis]) / way[axis]
        enter, leave = max(enter, min(one, other)), min(leave, max(one, other))
    return enter if 0 < enter <= leave else float("inf")


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(5, 40), y=st.floats(-12, 12), z=st.floats(0.0, 2.5), yaw=st.floats(-3.2, 3.2),
    length=st.floats(0.2, 6), width=st.floats(0.2, 2.5), height=st.floats(0.3, 3),
)  # fmt: skip
def test_cast_equals_ray_by_ray_clipping(
    x: float, y: float, z: float, yaw: float, length: float, width: float, height: float
) -> None:
    fan, boxes = _fan(), _box(x, y, z, yaw, (length, width, height))
    distance = np.full(fan.shape, np.inf, np.float32)
    hits = cast(fan, ORIGIN, boxes, distance)
    wanted = np.array(
        [[_first_meeting(boxes, np.array([*column, row], np.float64)) for column in fan.columns] for row in fan.rows]
    )
    disagree = np.isfinite(wanted) != np.isfinite(distance)
    assert disagree.mean() < 0.005  # rays that graze an edge may fall either way in single precision
    both = np.isfinite(wanted) & np.isfinite(distance)
    np.testing.assert_allclose(distance[both], wanted[both], rtol=2e-4)
    assert np.array_equal(hits.boxes >= 0, np.isfinite(distance))


def test_nearer_box_hides_the_other_whatever_the_order() -> None:
    near, far = _box(10, 0, 1, 0), _box(20, 0, 1, 0, (4, 6, 3))
    for first, second in ((near, far), (far, near)):
        both = Boxes(
            np.concatenate([first.centres, second.centres]),
            np.concatenate([first.headings, second.headings]),
            np.concatenate([first.halves, second.halves]),
        )
        distance = np.full(_fan().shape, np.inf, np.float32)
        hits = cast(_fan(), ORIGIN, both, distance)
        middle = hits.boxes[len(_fan().rows) // 2, 20]
        assert both.centres[middle, 0] == 10
        assert (np.unique(hits.boxes) == [-1, 0, 1]).all()


def test_what_is_drawn_already_may_hide_a_box() -> None:
    distance = np.full(_fan().shape, 3.0, np.float32)
    hits = cast(_fan(), ORIGIN, _box(10, 0, 1, 0), distance)
    assert (hits.boxes == -1).all()
    assert (distance == 3.0).all()


def test_faces_follow_the_heading() -> None:
    def faces(yaw: float, y: float = 0.0) -> set[int]:
        distance = np.full(_fan().shape, np.inf, np.float32)
        found = cast(_fan(), ORIGIN, _box(10, y, 0.2, yaw, (4.0, 4.0, 1.5)), distance).faces()
        return set((found[found >= 0] % FACES).tolist())

    assert faces(0.0) == {REAR, TOP}  # driving ahead of us, it shows its rear
    assert faces(np.pi) == {FRONT, TOP}
    assert faces(np.pi / 2) == {SIDE, TOP}
    assert SIDE in faces(0.0, y=6.0)
