"""KITTI drives as a source: real stamps, pixels and points, and every way in which a recording can be broken."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import SourceError
from edge.runtime.preprocess.lidar_view import PointProjector
from edge.runtime.sample import Image, PointCloud, Sample
from edge.runtime.sources.base import Source
from edge.runtime.sources.kitti import KittiSource

cv2 = pytest.importorskip("cv2")

CAMERAS = """calib_time: 09-Jan-2012 13:57:47
R_rect_00: 1 0 0 0 1 0 0 0 1
S_rect_02: 32 24
P_rect_02: 20 0 16 2 0 20 12 0.2 0 0 1 0.003
"""
LIDAR = "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0.1 0.2 -0.3\n"
FIRST_S = 1317046775  # 2011-09-26 14:19:35 UTC
COUNT = 4


def stamp_line(frame: int, ns: int) -> str:
    return f"2011-09-26 14:19:{35 + frame}.{ns:09d}"


def make_day(root: Path) -> Path:
    day = root / "2011_09_26"
    day.mkdir(parents=True, exist_ok=True)
    (day / "calib_cam_to_cam.txt").write_text(CAMERAS)
    (day / "calib_velo_to_cam.txt").write_text(LIDAR)
    return day


def fake_points(frame: int) -> NDArray[np.float32]:
    return np.array([[frame + 1, 2, 3, 0.5], [4, 5, 6, 0.25]], np.float32)


def write_image(path: Path, frame: int, size: tuple[int, int] = (24, 32)) -> None:
    assert cv2.imwrite(str(path), np.full((*size, 3), (frame, 100, 200), np.uint8))


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A small drive in the official layout; its camera trails the lidar by 9 ns."""
    folder = make_day(tmp_path) / "2011_09_26_drive_0001_sync"
    for stream, ns in (("image_02", 10), ("velodyne_points", 1)):
        (folder / stream / "data").mkdir(parents=True)
        lines = "\n".join(stamp_line(frame, ns) for frame in range(COUNT))
        (folder / stream / "timestamps.txt").write_text(lines + "\n")
    for frame in range(COUNT):
        write_image(folder / "image_02" / "data" / f"{frame:010d}.png", frame)
        fake_points(frame).tofile(folder / "velodyne_points" / "data" / f"{frame:010d}.bin")
    return folder


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    """The same in the compact layout."""
    folder = tmp_path / "compact_4"
    make_day(tmp_path)
    (folder / "image_02").mkdir(parents=True)
    rows = [f"{f},{(FIRST_S + f) * 10**9 + 10},{(FIRST_S + f) * 10**9 + 1}" for f in range(COUNT)]
    (tmp_path / "timestamps_ns.csv").write_text("\n".join(["frame,image_02,velodyne_points", *rows]))
    for frame in range(COUNT):
        write_image(folder / "image_02" / f"{frame:010d}.jpg", frame)
    np.savez_compressed(folder / "velodyne_fov.npz", **compact_arrays())  # type: ignore[arg-type]
    return tmp_path


def compact_arrays() -> dict[str, NDArray[np.int32] | NDArray[np.uint8]]:
    arrays: dict[str, NDArray[np.int32] | NDArray[np.uint8]] = {}
    for frame in range(COUNT):
        points = fake_points(frame)
        arrays[f"xyz_mm_{frame:02d}"] = (points[:, :3] * 1000).astype(np.int32)
        arrays[f"refl100_{frame:02d}"] = (points[:, 3] * 100).astype(np.uint8)
    return arrays


def remove(path: Path) -> Path:
    path.unlink()
    return path


def read_all(folder: Path) -> list[Sample]:
    return list(KittiSource(folder).samples())


def stamps_of(source: KittiSource, stream: str) -> list[int]:
    return [sample.stamp_ns for sample in source.samples() if sample.stream == stream]


def cloud(sample: Sample) -> NDArray[np.float32]:
    assert isinstance(sample.payload, PointCloud)
    return sample.payload.points


def keys(sample: Sample) -> NDArray[np.bytes_]:
    """One value per point that sorts; zeros have one sign."""
    return np.ascontiguousarray(cloud(sample) + np.float32(0)).view("S16")[:, 0]


# --- the real drive ---


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> KittiSource:
    return KittiSource(shared_data / "kitti_raw_0052")


@pytest.fixture(scope="module")
def official(shared_data: Path) -> KittiSource:
    return KittiSource(shared_data / "kitti_raw_0052" / "2011_09_26")


def test_the_layout_with_more_frames_is_taken(recorded: Source, official: KittiSource) -> None:
    assert recorded.description == (
        "KITTI raw drive 2011_09_26_drive_0052 (compact layout, 78 frames): camera and lidar are real"
    )
    assert "official layout, 10 frames" in official.description
    assert official.missing == {"camera": 68, "lidar": 68}


def test_stamps_are_those_of_the_table(recorded: KittiSource, shared_data: Path) -> None:
    with (shared_data / "kitti_raw_0052" / "timestamps_ns.csv").open() as file:
        rows = list(csv.DictReader(file))
    camera, lidar = stamps_of(recorded, "camera"), stamps_of(recorded, "lidar")
    assert camera == [int(row["image_02"]) for row in rows]
    assert lidar == [int(row["velodyne_points"]) for row in rows]
    assert len(camera) == 78
    assert np.subtract(camera, lidar).mean() / NS_PER_MS == pytest.approx(10.506, abs=0.001)
    assert recorded.rig.stream("lidar").rate_hz == pytest.approx(1000 / 103.508, abs=0.01)


def test_samples_arrive_in_order_and_not_before_their_end(recorded: KittiSource) -> None:
    arrivals, half_ms = [], 103.508 / 2
    for sample in recorded.samples():
        arrivals.append(sample.arrival_ns)
        delay_ms = (sample.arrival_ns - sample.stamp_ns) / NS_PER_MS
        lasts_ms = half_ms if sample.stream == "lidar" else 0.0
        assert delay_ms - lasts_ms == pytest.approx(recorded.rig.stream(sample.stream).transport_ms, abs=0.1)
    assert arrivals == sorted(arrivals)
    assert recorded.span_ns[1] == arrivals[-1]


@pytest.mark.parametrize("frame", ["0", "7", "9"])
def test_the_rig_projects_like_the_golden_pixels(official: KittiSource, shared_data: Path, frame: str) -> None:
    golden = json.loads((shared_data / "kitti_raw_0052" / "projection_golden.json").read_text())["frames"]
    rig = official.rig
    points = next(cloud(s) for s in official.samples() if s.stream == "lidar" and s.seq == int(frame))
    uvz, _ = PointProjector(rig.intrinsics("camera"), rig.transform("camera", "lidar")).pixels(points)
    sample = np.array(golden[frame]["sample"])
    assert np.abs(uvz[sample[:, 0].astype(int), :2] - sample[:, 4:6]).max() < 0.01


def test_the_base_frame_is_on_the_ground_below_the_lidar(official: KittiSource) -> None:
    lidar, camera = (np.array(official.rig.stream(s).T_base_from_sensor) for s in ("lidar", "camera"))
    assert np.array_equal(lidar[:3, 3], (0, 0, 1.73))
    assert camera[:3, 3] == pytest.approx((0.27, 0.06, 1.65), abs=0.03)  # as in the data set's drawing
    assert camera[:3, 2] == pytest.approx((1, 0, 0), abs=0.05)  # looks ahead


def test_both_layouts_tell_the_same(recorded: KittiSource, official: KittiSource) -> None:
    short = {(s.stream, s.seq): s for s in recorded.samples() if s.seq < 10}
    whole = {(s.stream, s.seq): s for s in official.samples()}
    assert {key: s.stamp_ns for key, s in short.items()} == {key: s.stamp_ns for key, s in whole.items()}
    for seq in range(10):
        assert np.isin(keys(short["lidar", seq]), keys(whole["lidar", seq])).all()
        pixels = [source["camera", seq].payload for source in (short, whole)]
        first, second = (p.pixels.astype(np.int16) for p in pixels if isinstance(p, Image))
        assert np.abs(first - second).mean() < 8  # one of them is a JPEG


# --- small drives ---


def test_every_way_to_name_a_drive_finds_it(drive: Path) -> None:
    stamps = [(s.stream, s.stamp_ns, s.seq) for s in read_all(drive)]
    assert stamps[0] == ("camera", FIRST_S * 10**9 + 10, 0)
    for folder in (drive.parent, drive.parent.parent):
        assert [(s.stream, s.stamp_ns, s.seq) for s in read_all(folder)] == stamps


def test_a_relative_folder_finds_its_calibration(drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(drive)
    assert len(read_all(Path())) == 2 * COUNT


def test_payloads_are_those_on_disk(drive: Path, compact: Path) -> None:
    for sample in [*read_all(drive), *KittiSource(compact).samples()]:
        if isinstance(sample.payload, Image):
            assert sample.payload.format == "bgr8"
            assert sample.payload.pixels[0, 0] == pytest.approx((sample.seq, 100, 200), abs=3)
        else:
            assert cloud(sample).dtype == np.float32
            assert np.array_equal(cloud(sample), fake_points(sample.seq))


def test_frames_are_read_only_when_asked_for(drive: Path) -> None:
    samples = KittiSource(drive).samples()
    next(samples)
    (drive / "velodyne_points" / "data" / "0000000003.bin").unlink()
    with pytest.raises(SourceError, match=r"0000000003\.bin"):
        list(samples)


def test_dropped_scans_are_skipped_and_counted(drive: Path) -> None:
    (drive / "velodyne_points" / "data" / "0000000001.bin").unlink()
    source = KittiSource(drive)
    assert source.missing == {"camera": 0, "lidar": 1}
    assert "3 frames, 1 lidar frames missing" in source.description
    assert [s.seq for s in source.samples() if s.stream == "lidar"] == [0, 2, 3]
    assert stamps_of(source, "lidar")[1] == (FIRST_S + 2) * 10**9 + 1


@pytest.mark.parametrize("blank", [True, False])
def test_a_dropped_scan_may_have_a_blank_line_or_none(drive: Path, blank: bool) -> None:
    (drive / "velodyne_points" / "data" / "0000000001.bin").unlink()
    lines = [stamp_line(frame, 1) for frame in range(COUNT)]
    lines[1:2] = [""] if blank else []
    (drive / "velodyne_points" / "timestamps.txt").write_text("\n".join(lines))
    source = KittiSource(drive)
    assert source.missing["lidar"] == 1
    assert stamps_of(source, "lidar") == [(FIRST_S + frame) * 10**9 + 1 for frame in (0, 2, 3)]


def test_fractions_of_a_second_may_have_any_number_of_digits(drive: Path) -> None:
    lines = ["2011-09-26 14:19:35", "2011-09-26 14:19:35.050000001", "2011-09-26 14:19:35.5", "2011-09-27 00:00:00.25"]
    (drive / "image_02" / "timestamps.txt").write_text("\n".join(lines))
    nanoseconds = [0, 50_000_001, 500_000_000, 34_825 * 10**9 + 250_000_000]
    assert stamps_of(KittiSource(drive), "camera") == [FIRST_S * 10**9 + ns for ns in nanoseconds]


def test_real_stamps_of_a_drive_that_lost_scans(drive: Path, shared_data: Path) -> None:
    folder = shared_data / "kitti_timestamps"
    stamps = [int(v) for v in (folder / "2011_09_26_drive_0009_velodyne_points_ns.txt").read_text().split()]
    gap = int(np.argmax(np.diff(stamps)))
    numbers = [n if n <= gap else n + 4 for n in range(len(stamps))]
    lines = [f"{np.datetime64(ns, 'ns')}".replace("T", " ") for ns in stamps]
    (drive / "velodyne_points" / "timestamps.txt").write_text("\n".join(lines))
    for number in numbers:
        fake_points(0).tofile(drive / "velodyne_points" / "data" / f"{number:010d}.bin")
    for number in set(range(COUNT)) - set(numbers):
        (drive / "velodyne_points" / "data" / f"{number:010d}.bin").unlink()
    source = KittiSource(drive)
    assert source.missing["lidar"] == 4
    assert stamps_of(source, "lidar") == stamps
    assert source.rig.stream("lidar").rate_hz == pytest.approx(9.66, abs=0.02)


# --- broken ones ---


def truncate(path: Path, keep: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no calibration": (lambda d: (d.parent / "calib_cam_to_cam.txt").unlink(), r"calib_cam_to_cam\.txt"),
    "no extrinsics": (lambda d: (d.parent / "calib_velo_to_cam.txt").unlink(), r"calib_velo_to_cam\.txt"),
    "no key": (lambda d: replace(d.parent / "calib_cam_to_cam.txt", "P_rect_02", "P_rect_09"), "P_rect_02"),
    "word for number": (lambda d: replace(d.parent / "calib_cam_to_cam.txt", "32 24", "32 tall"), "S_rect_02"),
    "number short": (lambda d: replace(d.parent / "calib_velo_to_cam.txt", "0.1 0.2 -0.3", "0.1 0.2"), "'T'"),
    "not finite": (lambda d: replace(d.parent / "calib_velo_to_cam.txt", "0.1 0.2", "nan 0.2"), "'T'"),
    "no rotation": (lambda d: replace(d.parent / "calib_velo_to_cam.txt", "R: 0 -1", "R: 0 -2"), "no rotation"),
    "mirrored": (lambda d: replace(d.parent / "calib_velo_to_cam.txt", "R: 0 -1", "R: 0 1"), "no rotation"),
    "skewed": (lambda d: replace(d.parent / "calib_cam_to_cam.txt", "20 0 16", "20 3 16"), "pinhole"),
    "behind": (lambda d: replace(d.parent / "calib_cam_to_cam.txt", "20 0 16", "-20 0 16"), "pinhole"),
    "binary calibration": (lambda d: (d.parent / "calib_cam_to_cam.txt").write_bytes(b"\xff\xfe"), "cannot read"),
    "cut sweep": (lambda d: truncate(d / "velodyne_points/data/0000000002.bin", 0.7), r"0000000002\.bin has 22 bytes"),
    "empty sweep": (lambda d: truncate(d / "velodyne_points/data/0000000002.bin", 0), r"0000000002\.bin is empty"),
    "cut image": (lambda d: truncate(d / "image_02/data/0000000003.png"), r"0000000003\.png .*truncated"),
    "empty image": (lambda d: truncate(d / "image_02/data/0000000003.png", 0), r"0000000003\.png .*truncated"),
    "no image": (lambda d: (d / "image_02/data/0000000003.png").write_bytes(b"IEND IEND"), r"0000000003\.png is no"),
    "other size": (lambda d: write_image(d / "image_02/data/0000000001.png", 1, (20, 30)), "30 x 20 pixels"),
    "too few stamps": (
        lambda d: replace(d / "image_02/timestamps.txt", stamp_line(3, 10), ""),
        r"no stamp for frame 3 \(4 files, 3 lines\)",
    ),
    "blank stamp": (lambda d: replace(d / "image_02/timestamps.txt", stamp_line(1, 10), ""), "no stamp for frame 1"),
    "backwards": (
        lambda d: replace(d / "image_02/timestamps.txt", stamp_line(2, 10), stamp_line(0, 9)),
        "backwards at frame 2",
    ),
    "no stamp": (lambda d: replace(d / "image_02/timestamps.txt", stamp_line(2, 10), "soon"), "line 3 is no stamp"),
    "no date": (lambda d: replace(d / "image_02/timestamps.txt", "2011-09-26", "2011-19-26"), "line 1 is no stamp"),
    "no stamps": (lambda d: (d / "image_02/timestamps.txt").unlink(), r"image_02/timestamps\.txt"),
    "no data": (lambda d: (d / "image_02/data").rename(d / "image_02/dat"), "image_02/data"),
    "no images": (lambda d: [*map(remove, (d / "image_02/data").iterdir())], "no KITTI raw recording"),
    "one frame": (
        lambda d: [*map(remove, (d / "image_02/data").glob("*[013].png"))],
        "only 1 camera frame",
    ),
    "no sweeps": (lambda d: (d / "velodyne_points").rename(d / "velodyne"), "no KITTI raw recording"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_drive_is_refused_with_its_cause(drive: Path, case: str) -> None:
    spoil, message = BROKEN[case]
    spoil(drive)
    with pytest.raises(SourceError, match=message) as caught:
        read_all(drive)
    assert caught.value.remedy


def test_folders_that_are_no_drive_are_refused(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        KittiSource(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no KITTI raw recording"):
        KittiSource(tmp_path / "empty")
    raw = drive.rename(drive.with_name("2011_09_26_drive_0001_extract"))
    with pytest.raises(SourceError, match="not rectified"):
        KittiSource(raw)


def test_of_several_drives_one_must_be_named(drive: Path) -> None:
    other = drive.with_name("2011_09_26_drive_0002_sync")
    for stream in ("image_02", "velodyne_points"):
        (other / stream).mkdir(parents=True)
    with pytest.raises(SourceError, match=r"2 drives \(2011_09_26_drive_0001_sync, "):
        KittiSource(drive.parent)


def save(folder: Path, **changed: NDArray[np.generic] | None) -> None:
    arrays = {key: value for key, value in {**compact_arrays(), **changed}.items() if value is not None}
    np.savez_compressed(folder / "compact_4" / "velodyne_fov.npz", **arrays)  # type: ignore[arg-type]


BROKEN_COMPACT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no reflectance": (lambda d: save(d, refl100_02=None), "no array refl100_02"),
    "other type": (lambda d: save(d, xyz_mm_02=np.zeros((2, 3))), "sweep 2 is not int32"),
    "other shape": (lambda d: save(d, xyz_mm_02=np.zeros((5, 3), np.int32)), "sweep 2 is not int32"),
    "scalar": (lambda d: save(d, refl100_02=np.array(1, np.uint8)), "sweep 2 is not int32"),
    "pickled": (lambda d: save(d, xyz_mm_02=np.array([{}])), "sweep 2 cannot be read"),
    "other arrays": (lambda d: np.savez(d / "compact_4/velodyne_fov.npz", a=np.zeros(3)), "no array xyz_mm_00"),
    "cut archive": (lambda d: truncate(d / "compact_4/velodyne_fov.npz"), "no array archive"),
    "empty archive": (lambda d: truncate(d / "compact_4/velodyne_fov.npz", 0), "no array archive"),
    "no table": (lambda d: (d / "timestamps_ns.csv").unlink(), r"timestamps_ns\.csv"),
    "no column": (lambda d: replace(d / "timestamps_ns.csv", "velodyne", "ouster"), "velodyne_points"),
    "no number": (lambda d: replace(d / "timestamps_ns.csv", f"{FIRST_S + 2}", "x"), "cannot read"),
    "short row": (lambda d: replace(d / "timestamps_ns.csv", f"3,{FIRST_S + 3}", "3\n4,"), "no stamp for frame 3"),
    "no calibration": (lambda d: (d / "2011_09_26/calib_cam_to_cam.txt").unlink(), r"no calib_cam_to_cam\.txt"),
    "cut image": (lambda d: truncate(d / "compact_4/image_02/0000000001.jpg", 0.9), r"0000000001\.jpg .*truncated"),
}


@pytest.mark.parametrize("case", BROKEN_COMPACT)
def test_a_broken_compact_recording_is_refused_with_its_cause(compact: Path, case: str) -> None:
    spoil, message = BROKEN_COMPACT[case]
    spoil(compact)
    with pytest.raises(SourceError, match=message) as caught:
        read_all(compact)
    assert caught.value.remedy


def test_a_compact_recording_counts_dropped_scans(compact: Path) -> None:
    save(compact, xyz_mm_01=None, refl100_01=None)
    (compact / "compact_4" / "image_02" / "0000000003.jpg").unlink()
    source = KittiSource(compact)
    assert source.missing == {"camera": 1, "lidar": 1}
    assert stamps_of(source, "lidar") == [(FIRST_S + frame) * 10**9 + 1 for frame in (0, 2, 3)]
