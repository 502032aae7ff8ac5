"""The inertial unit of KITTI drives: where it sits, what it tells, and records that are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.runtime.errors import SourceError
from edge.runtime.preprocess.deskew import MotionCompensation
from edge.runtime.rig import Deskew
from edge.runtime.sample import Twist
from edge.runtime.sources.kitti import KittiSource
from edge.runtime.synchronizer import Synchronizer

if TYPE_CHECKING:
    from pathlib import Path

cv2 = pytest.importorskip("cv2")

COUNT = 5
CAMERAS = "R_rect_00: 1 0 0 0 1 0 0 0 1\nS_rect_02: 32 24\nP_rect_02: 20 0 16 2 0 20 12 0.2 0 0 1 0.003\n"
LIDAR = "R: 0 -1 0 0 0 -1 1 0 0\nT: 0.1 0.2 -0.3\n"
UNIT = "calib_time: 25-May-2012 16:47:16\nR: 1 0 0 0 1 0 0 0 1\nT: -0.8 0.3 -0.8\n"


def record(roll: float = 0.0, pitch: float = 0.0, speed: tuple[float, ...] = (10.0, 0.5, -0.2)) -> list[float]:
    """30 numbers whose values are their own names where they do not matter."""
    values = [1000.0 + k for k in range(30)]
    values[3:5], values[8:11], values[17:20] = [roll, pitch], speed, [0.01, 0.02, 0.3]
    return values


def write_record(path: Path, values: list[float]) -> None:
    path.write_text(" ".join(map(str, values)) + "\n")


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    day = tmp_path / "2011_09_26"
    folder = day / "2011_09_26_drive_0001_sync"
    for stream, ns in (("image_02", 10), ("velodyne_points", 1), ("oxts", 5)):
        (folder / stream / "data").mkdir(parents=True)
        lines = [f"2011-09-26 14:19:35.{k}{ns:08d}" for k in range(COUNT)]
        (folder / stream / "timestamps.txt").write_text("\n".join(lines))
    for name, text in (("cam_to_cam", CAMERAS), ("velo_to_cam", LIDAR), ("imu_to_velo", UNIT)):
        (day / f"calib_{name}.txt").write_text(text)
    for k in range(COUNT):
        assert cv2.imwrite(str(folder / f"image_02/data/{k:010d}.png"), np.full((24, 32, 3), 90 + k, np.uint8))
        np.full((3, 4), k + 1, np.float32).tofile(folder / f"velodyne_points/data/{k:010d}.bin")
        write_record(folder / f"oxts/data/{k:010d}.txt", record())
    return folder


def twists(folder: Path) -> list[Twist]:
    return [s.payload for s in KittiSource(folder).samples() if isinstance(s.payload, Twist)]


def test_the_unit_is_a_twist_stream_at_its_place(drive: Path) -> None:
    source = KittiSource(drive)
    stream = source.rig.stream("odometry")
    assert (stream.kind, stream.clock) == ("twist", "replay")
    assert stream.rate_hz == pytest.approx(10.0)
    # In the lidar's frame 0.8 m behind it and 0.8 m below.
    np.testing.assert_allclose(np.array(stream.T_base_from_sensor)[:3, 3], (-0.8, 0.3, 1.73 - 0.8))
    assert "camera, lidar and odometry are real" in source.description
    found = twists(drive)
    assert len(found) == COUNT
    np.testing.assert_allclose(found[0].linear, (10.0, 0.5, -0.2))
    np.testing.assert_allclose(found[0].angular, (0.01, 0.02, 0.3))


def test_level_velocities_are_turned_into_the_tilted_unit(drive: Path) -> None:
    first = drive / "oxts/data/0000000000.txt"
    # Nose down by 0.1: what is level and ahead points upwards in the unit.
    write_record(first, record(pitch=0.1, speed=(10.0, 0.0, 0.0)))
    np.testing.assert_allclose(twists(drive)[0].linear, (10 * np.cos(0.1), 0, 10 * np.sin(0.1)), atol=1e-12)
    # Left side up by 0.1: what is level and to the left points downwards in it.
    write_record(first, record(roll=0.1, speed=(0.0, 1.0, 0.0)))
    np.testing.assert_allclose(twists(drive)[0].linear, (0, np.cos(0.1), -np.sin(0.1)), atol=1e-12)


def test_its_sweeps_are_never_deskewed_and_that_is_counted(drive: Path) -> None:
    source = KittiSource(drive)
    assert source.rig.deskew is None
    asking = source.rig.model_copy(update={"deskew": Deskew(motion="odometry", to="camera")})
    motion, synchronizer = MotionCompensation(asking), Synchronizer(asking, ("camera", "lidar"), {})
    sets = []
    for sample in source.samples():
        if motion.observe(sample) is None:
            sets += synchronizer.push(sample)
    sets += synchronizer.flush()
    assert len(sets) == COUNT
    for one in sets:
        assert motion.compensate(one).samples["lidar"] is one.samples["lidar"]
    assert motion.counts == {"lidar:no_point_times": COUNT}


def test_a_drive_with_stamps_but_no_records_has_no_odometry(drive: Path, shared_data: Path) -> None:
    for file in (drive / "oxts/data").iterdir():
        file.unlink()
    (drive / "oxts/data").rmdir()
    assert "odometry" not in KittiSource(drive).rig.streams
    assert "odometry" not in KittiSource(shared_data / "kitti_raw_0052" / "2011_09_26").rig.streams


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("oxts/data/0000000002.txt", "1 2 3", r"0000000002\.txt holds 3 numbers"),
        ("oxts/data/0000000002.txt", " ".join(["nan"] * 30), "finite"),
        ("oxts/data/0000000002.txt", "fast " * 30, r"cannot read .*0000000002\.txt"),
        ("../calib_imu_to_velo.txt", "R: 1 0 0 0 1 0 0 0 1\n", "'T'"),
        ("oxts/timestamps.txt", "2011-09-26 14:19:35\n", "no stamp for frame"),
    ],
)
def test_broken_records_are_refused_by_name(drive: Path, name: str, content: str, says: str) -> None:
    (drive / name).write_text(content)
    with pytest.raises(SourceError, match=says):
        twists(drive)
