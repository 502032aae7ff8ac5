from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.runtime.decode import DISTANCE_RATIO, Decoder
from edge.runtime.errors import ModelError, RigError
from edge.runtime.model_io import EventOutput, GridOutput, ImageInput, ModelIO, RawOutput, SoftmaxOutput
from edge.runtime.preprocess.lidar_view import PointProjector
from edge.runtime.result import Detection
from edge.runtime.rig import Distortion, Intrinsics, Rig, Stream

T_CAMERA = ((0, 0, 1, 0.2), (-1, 0, 0, 0.1), (0, -1, 0, 1.6), (0, 0, 0, 1))
T_LIDAR = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1.73), (0, 0, 0, 1))
ROWS, COLUMNS = 6, 12
GRID = GridOutput(tensor="classes", distance_tensor="distance", camera="camera", classes=("car", "person"))


def make_rig(lens: Distortion | None = None) -> Rig:
    camera = Intrinsics(width=240, height=120, fx=150, fy=150, cx=118, cy=61, distortion=lens or Distortion())
    return Rig(
        anchor="camera",
        streams={
            "camera": Stream(kind="camera", rate_hz=10, T_base_from_sensor=T_CAMERA, intrinsics=camera),
            "lidar": Stream(kind="lidar", rate_hz=10, T_base_from_sensor=T_LIDAR),
        },
    )


def make_decoder(
    *outputs: Any, rig: Rig | None = None, resize: str = "stretch", shape: Any = (1, 3, 48, 96)
) -> Decoder:
    image = ImageInput(tensor="image", stream="camera", shape=shape, resize=resize)  # type: ignore[arg-type]
    return Decoder(ModelIO(schema=1, inputs=(image,), outputs=outputs or (GRID,)), rig or make_rig())


def grid(
    cells: dict[tuple[int, int], tuple[int, float, float]], rows: int = ROWS, columns: int = COLUMNS
) -> dict[str, NDArray[np.float32]]:
    """Outputs in which cell (row, column) holds class (1 car, 2 person) at a logit and a distance in metres."""
    logits, distance = np.zeros((1, 3, rows, columns), np.float32), np.zeros((1, 1, rows, columns), np.float32)
    logits[0, 0] = 8
    for (row, column), (index, logit, metres) in cells.items():
        logits[0, 0, row, column] = 0
        logits[0, index, row, column] = logit
        distance[0, 0, row, column] = math.log(metres)
    return {"classes": logits, "distance": distance}


def detections(cells: dict[tuple[int, int], tuple[int, float, float]], **options: Any) -> tuple[Detection, ...]:
    return make_decoder(**options).decode(grid(cells)).detections


def probability(logit: float) -> float:
    return math.exp(logit) / (math.exp(logit) + 2)  # background and the other class have logit 0


def test_touching_cells_become_one_detection() -> None:
    (found,) = detections({(1, 2): (1, 3.0, 10.0), (2, 3): (1, 4.0, 11.0), (2, 4): (1, 2.0, 11.0)})
    assert found.class_name == "car"
    assert found.score == pytest.approx(np.mean([probability(x) for x in (3, 4, 2)]))
    assert found.distance_m == pytest.approx((10 * 11 * 11) ** (1 / 3), rel=1e-6)
    assert found.box_px == pytest.approx((2 * 20, 1 * 20, 5 * 20, 3 * 20))
    assert found.frame == "base"


def test_position_is_the_ray_through_the_box_centre() -> None:
    (found,) = detections({(1, 2): (1, 3.0, 10.0)})
    u, v = 2.5 * 20 - 0.5, 1.5 * 20 - 0.5
    x, y = (u - 118) / 150 * 10, (v - 61) / 150 * 10
    assert found.xyz_m == pytest.approx((10 + 0.2, -x + 0.1, -y + 1.6))


@pytest.mark.parametrize(
    "lens",
    [
        Distortion(model="plumb_bob", coefficients=(-0.3, 0.1, 0.001, -0.002)),
        Distortion(model="fisheye", coefficients=(0.05, -0.02, 0.006, -0.002)),
    ],
)
def test_the_position_projects_back_to_the_box_centre_through_a_bent_lens(lens: Distortion) -> None:
    rig = make_rig(lens)
    output = GRID.model_copy(update={"frame": "lidar"})
    for cell in [(0, 0), (3, 6), (5, 11)]:
        (found,) = make_decoder(output, rig=rig).decode(grid({cell: (2, 3.0, 14.0)})).detections
        point = np.array([[*found.xyz_m, 1]], np.float32)
        uvz, _ = PointProjector(rig.intrinsics("camera"), rig.transform("camera", "lidar")).pixels(point)
        centre = [(cell[1] + 0.5) * 20 - 0.5, (cell[0] + 0.5) * 20 - 0.5, 14.0]
        np.testing.assert_allclose(uvz[0], centre, atol=1e-3)
        assert found.frame == "lidar"


def test_classes_gaps_and_distances_keep_objects_apart() -> None:
    car, person = (1, 3.0, 10.0), (2, 3.0, 10.0)
    assert [d.class_name for d in detections({(1, 1): car, (1, 2): person})] == ["car", "person"]
    assert len(detections({(1, 1): car, (1, 3): car})) == 2
    assert len(detections({(1, 1): car, (1, 2): (1, 3.0, 11.4)})) == 1
    assert len(detections({(1, 1): car, (1, 2): (1, 3.0, 11.6)})) == 2


def test_the_right_edge_is_no_neighbour_of_the_left() -> None:
    assert len(detections({(1, COLUMNS - 1): (1, 3.0, 10.0), (2, 0): (1, 3.0, 10.0)})) == 2


def test_order_is_row_major_by_the_first_cell() -> None:
    found = detections({(0, 9): (1, 3.0, 10.0), (2, 1): (2, 3.0, 5.0), (0, 4): (2, 5.0, 30.0), (1, 5): (2, 5.0, 30.0)})
    assert [(d.class_name, round(d.distance_m)) for d in found] == [("person", 30), ("car", 10), ("person", 5)]


def test_cells_below_the_threshold_are_left_out() -> None:
    limit = math.log(2 * 0.5 / 0.5)  # probability 0.5
    assert detections({(1, 1): (1, limit - 0.01, 10.0)}) == ()
    assert len(detections({(1, 1): (1, limit + 0.01, 10.0)})) == 1
    strict = GRID.model_copy(update={"threshold": 0.95})
    assert make_decoder(strict).decode(grid({(1, 1): (1, 3.0, 10.0)})).detections == ()


def test_huge_logits_do_not_overflow() -> None:
    (found,) = detections({(1, 1): (1, 3e38, 10.0)})
    assert found.score == 1.0


def test_a_letterbox_is_taken_off_and_boxes_stay_in_the_image() -> None:
    # 240x120 in 96x96: scale 0.4, padding of 24 above and below; each of 12x12 cells covers 20x20 source pixels.
    decoder = make_decoder(resize="letterbox", shape=(1, 3, 96, 96))
    cells = {(2, 0): (1, 3.0, 10.0), (3, 0): (1, 3.0, 10.0), (8, 11): (2, 3.0, 10.0), (0, 5): (2, 3.0, 10.0)}
    found = decoder.decode(grid(cells, rows=12, columns=12)).detections
    # The person in the padding is dropped, the car that begins there is clipped.
    assert [d.box_px for d in found] == [pytest.approx((0, 0, 20, 20)), pytest.approx((220, 100, 240, 120))]


def test_a_crop_is_put_back() -> None:
    decoder = make_decoder(resize="crop", shape=(1, 3, 96, 96))  # the middle 120x120 of 240x120
    (found,) = decoder.decode(grid({(0, 0): (1, 3.0, 10.0)}, rows=12, columns=12)).detections
    assert found.box_px == pytest.approx((60, 0, 70, 10))


def reference_components(outputs: dict[str, NDArray[np.float32]], threshold: float) -> set[frozenset[tuple[int, int]]]:
    """Connected cells by repeated merging of sets."""
    logits = outputs["classes"][0].astype(np.float64)
    softmax = np.exp(logits - logits.max(axis=0))
    softmax /= softmax.sum(axis=0)
    best = softmax[1:].argmax(axis=0)
    log_distance = outputs["distance"][0, 0].astype(np.float64)
    groups = [{(int(r), int(c))} for r, c in np.argwhere(softmax[1:].max(axis=0) >= threshold)]

    def joined(a: tuple[int, int], b: tuple[int, int]) -> bool:
        touch = abs(a[0] - b[0]) <= 1 and abs(a[1] - b[1]) <= 1
        return touch and bool(best[a] == best[b] and abs(log_distance[a] - log_distance[b]) <= math.log(DISTANCE_RATIO))

    merged = True
    while merged:
        merged = False
        for i, group in enumerate(groups):
            for other in groups[i + 1 :]:
                if any(joined(a, b) for a in group for b in other):
                    group.update(other)
                    groups.remove(other)
                    merged = True
                    break
    return {frozenset(g) for g in groups}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.7))
def test_components_equal_a_plain_reference(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    outputs = {
        "classes": rng.normal(0, 2, (1, 3, ROWS, COLUMNS)).astype(np.float32),
        "distance": rng.choice(np.log([10.0, 11.0, 12.0, 30.0]), (1, 1, ROWS, COLUMNS)).astype(np.float32),
    }
    found = make_decoder(GRID.model_copy(update={"threshold": threshold})).decode(outputs).detections
    groups = sorted(reference_components(outputs, threshold), key=min)
    boxes = [
        (
            min(c for _, c in g) * 20,
            min(r for r, _ in g) * 20,
            (max(c for _, c in g) + 1) * 20,
            (max(r for r, _ in g) + 1) * 20,
        )
        for g in groups
    ]
    assert [d.box_px for d in found] == [pytest.approx(b) for b in boxes]
    for detection, group in zip(found, groups, strict=True):
        logs = [float(outputs["distance"][0, 0, r, c]) for r, c in group]
        assert detection.distance_m == pytest.approx(math.exp(np.mean(logs)))


def test_events_softmax_and_raw() -> None:
    decoder = make_decoder(
        EventOutput(tensor="sounds", classes=("horn", "siren", "voice")),
        SoftmaxOutput(tensor="digit", classes=("zero", "one", "two")),
        SoftmaxOutput(tensor="unsure", classes=("a", "b"), threshold=0.9),
        RawOutput(tensor="state"),
    )
    state = np.arange(6, dtype=np.float32).reshape(1, 6)
    decoded = decoder.decode(
        {
            "sounds": np.array([[2.0, -1.0, 1000.0]], np.float32),
            "digit": np.array([[0.0, 2.0, 1.0]], np.float32),
            "unsure": np.array([[0.1, 0.0]], np.float32),
            "state": state,
        }
    )
    names = [e.class_name for e in decoded.events]
    scores = [e.score for e in decoded.events]
    assert names == ["horn", "voice", "one"]
    assert scores == pytest.approx([1 / (1 + math.exp(-2)), 1.0, math.e**2 / (1 + math.e + math.e**2)])
    np.testing.assert_array_equal(decoded.outputs["state"], state)
    assert decoded.detections == ()


@pytest.mark.parametrize("tensor", ["classes", "distance"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_refused_by_name(tensor: str, value: float) -> None:
    outputs = grid({(1, 1): (1, 3.0, 10.0)})
    outputs[tensor][0, 0, 3, 3] = value
    with pytest.raises(ModelError, match=f"'{tensor}' holds values that are not finite"):
        make_decoder().decode(outputs)


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (EventOutput(tensor="x", classes=("a", "b")), np.array([[np.nan, 0]], np.float32)),
        (SoftmaxOutput(tensor="x", classes=("a", "b")), np.array([[np.inf, 0]], np.float32)),
        (RawOutput(tensor="x"), np.array([-np.inf], np.float32)),
        (EventOutput(tensor="x", classes=("a", "b")), np.zeros((1, 3), np.float32)),
        (SoftmaxOutput(tensor="x", classes=("a", "b")), np.zeros((2, 2), np.float32)),
    ],
)
def test_bad_vectors_are_refused_by_name(output: Any, value: NDArray[np.float32]) -> None:
    with pytest.raises(ModelError, match="output 'x'"):
        make_decoder(output).decode({"x": value})


def test_missing_and_misshapen_grids_are_refused() -> None:
    outputs = grid({})
    with pytest.raises(ModelError, match="no output 'distance'"):
        make_decoder().decode({"classes": outputs["classes"]})
    with pytest.raises(ModelError, match="'classes' has the shape"):
        make_decoder().decode({**outputs, "classes": outputs["classes"][:, :2]})
    with pytest.raises(ModelError, match="'distance' has the shape"):
        make_decoder().decode({**outputs, "distance": outputs["distance"][..., :-1]})


def test_a_distance_beyond_numbers_is_refused() -> None:
    outputs = grid({(1, 1): (1, 3.0, 10.0)})
    outputs["distance"][0, 0, 1, 1] = 1000
    with pytest.raises(ModelError, match="'distance' stands for"):
        make_decoder().decode(outputs)


def test_cameras_and_frames_that_the_rig_lacks_are_refused() -> None:
    with pytest.raises(RigError, match="no stream 'rear'"):
        make_decoder(GRID.model_copy(update={"camera": "rear"}))
    with pytest.raises(RigError, match="no stream 'map'"):
        make_decoder(GRID.model_copy(update={"frame": "map"}))
