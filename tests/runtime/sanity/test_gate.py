"""Samples that no model should see are named by reason; what only shows over several is remembered a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from edge.runtime.errors import RigError
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Reading, Sample, Series, Text
from edge.runtime.sanity.gate import REASONS, SanityGate
from edge.runtime.sanity_limits import SanityLimits
from edge.runtime.simulate.rig import street_rig

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

S = 1_000_000_000
RATE_HZ = 16_000
GOOD = np.full((128, 416, 3), 90, np.uint8)
POINT = np.array([[10, 1, 0, 0.5]], np.float32)
NAN = np.array([[np.nan] * 4], np.float32)
SOUND = np.full((1, 320), 0.1, np.float32)
LAMP = np.zeros_like(GOOD)
LAMP[77, 33, 1] = 3


def rig_with(**limits: Any) -> Rig:
    """The street's rig, a thermometer and a log, all with the same limits."""
    street = street_rig()
    streams = {
        **street.streams,
        "room": Stream(kind="table", rate_hz=1, fields=("t",)),
        "log": Stream(kind="text", rate_hz=1, max_text_bytes=20),
    }
    update = {"sanity": SanityLimits(**limits), "channels": 4, "max_points": 262_144}
    return street.model_copy(update={"streams": {n: s.model_copy(update=update) for n, s in streams.items()}})


@pytest.mark.parametrize(
    ("stream", "payload", "reason"),
    [
        ("camera", Image(GOOD), ""),
        ("camera", Image(GOOD[..., 0], "mono8"), ""),
        ("camera", Image(GOOD[..., ::-1], "bgr8"), ""),
        ("camera", Image(GOOD[:-1]), "wrong_size"),
        ("camera", Image(GOOD[..., :2]), "wrong_size"),
        ("camera", Image(GOOD[..., 0]), "wrong_size"),
        ("camera", Image(GOOD.astype(np.float32)), "wrong_size"),
        ("camera", Image(np.zeros_like(GOOD)), "empty"),
        ("camera", Image(LAMP), ""),  # one pixel in the night
        ("camera", PointCloud(POINT), "wrong_kind"),
        ("lidar", PointCloud(POINT), ""),
        ("lidar", PointCloud(np.concatenate([POINT, NAN])), ""),
        ("lidar", PointCloud(np.repeat(POINT, 8, axis=0)[::2]), ""),
        ("lidar", PointCloud(NAN), "empty"),
        ("lidar", PointCloud(POINT[:0]), "empty"),
        ("lidar", PointCloud(POINT * 0), "empty"),  # drivers put what did not return at the origin
        ("lidar", PointCloud(POINT[:, :3]), "wrong_size"),
        ("lidar", PointCloud(np.repeat(POINT, 262_145, axis=0)), "wrong_size"),  # more than memory is planned for
        ("lidar", PointCloud(POINT.astype(np.float64)), "wrong_size"),
        ("lidar", Image(GOOD), "wrong_kind"),
        ("audio", AudioChunk(SOUND, RATE_HZ), ""),
        ("audio", AudioChunk(np.zeros_like(SOUND), RATE_HZ), ""),  # a short silence is sound
        ("audio", AudioChunk(SOUND, 8_000), "wrong_size"),
        ("audio", AudioChunk(np.repeat(SOUND, 5, axis=0), RATE_HZ), "wrong_size"),
        ("audio", AudioChunk(SOUND[0], RATE_HZ), "wrong_size"),
        ("audio", AudioChunk(SOUND.astype(np.float64), RATE_HZ), "wrong_size"),
        ("audio", AudioChunk(SOUND[:, :0], RATE_HZ), "empty"),
        ("audio", AudioChunk(SOUND * np.inf, RATE_HZ), "not_finite"),
        ("audio", Reading(np.array([1], np.float32), ("t",)), "wrong_kind"),
        ("room", Reading(np.array([1], np.float32), ("t",)), ""),
        ("room", Reading(np.array([np.nan], np.float32), ("t",)), "not_finite"),
        ("room", Reading(np.array([1, 2], np.float32), ("t", "u")), "wrong_size"),
        ("room", Reading(np.array([], np.float32), ()), "empty"),
        ("room", AudioChunk(SOUND, RATE_HZ), "wrong_kind"),
        ("room", Series(np.ones((2, 1), np.float32), ("t",)), "wrong_kind"),  # sources give single readings
        ("log", Text("door open"), ""),
        ("log", Text("Tür\toffen\r\n"), ""),
        ("log", Text("\U0001f6aa" * 5), ""),  # 20 bytes
        ("log", Text("\U0001f6aa" * 5 + "!"), "wrong_size"),
        ("log", Text("d" * 21), "wrong_size"),
        ("log", Text(""), "empty"),
        ("log", Text(" \n\t \u3000"), "empty"),
        ("log", Text("door\0open"), "unreadable"),
        ("log", Text("\x1b[2Jdoor"), "unreadable"),
        ("log", Text("door\x85"), "unreadable"),
        ("log", Text("door\udc80"), "unreadable"),
        ("log", Text(b"door"), "wrong_kind"),  # type: ignore[arg-type]
        ("log", Reading(np.array([1], np.float32), ("t",)), "wrong_kind"),
    ],
)
def test_reason(stream: str, payload: Payload, reason: str) -> None:
    assert reason in {"", *REASONS}
    assert SanityGate(rig_with()).refusal(Sample(stream, 0, 0, 0, payload)) == reason


def reasons_of(stream: str, payloads: Iterable[Payload], rig: Rig | None = None, period_ns: int = S // 10) -> list[str]:
    gate = SanityGate(rig or rig_with())
    return [gate.refusal(Sample(stream, k * period_ns, k * period_ns, k, p)) for k, p in enumerate(payloads)]


def cloud_of(points: int, seed: int = 0) -> PointCloud:
    return PointCloud(np.random.default_rng(seed).normal(size=(points, 4)).astype(np.float32))


SMALL_IMAGE = np.random.default_rng(1).integers(1, 255, (128, 416), dtype=np.uint8)  # 53 kB, looked at whole
LARGE_IMAGE = np.random.default_rng(2).integers(1, 255, (128, 416, 3), dtype=np.uint8)  # 160 kB


@pytest.mark.parametrize(
    ("stream", "payload", "still_used"),
    [
        ("camera", Image(SMALL_IMAGE, "mono8"), 5),
        ("camera", Image(LARGE_IMAGE), 6),
        ("lidar", cloud_of(100), 5),
        ("lidar", cloud_of(120_000), 6),
        ("audio", AudioChunk(np.sin(np.arange(320, dtype=np.float32))[None], RATE_HZ), 5),
        ("audio", AudioChunk(np.sin(np.arange(80_000, dtype=np.float32)).reshape(4, -1), RATE_HZ), 6),
    ],
)
def test_what_repeats_itself_is_frozen(stream: str, payload: Payload, still_used: int) -> None:
    assert reasons_of(stream, [payload] * 9) == [""] * still_used + ["frozen"] * (9 - still_used)


def test_a_copy_in_other_memory_is_a_repeat_too() -> None:
    assert reasons_of("camera", (Image(LARGE_IMAGE.copy()) for _ in range(7)))[-1] == "frozen"


def test_a_new_content_ends_it_at_once() -> None:
    other = cloud_of(100, seed=1)
    assert reasons_of("lidar", [cloud_of(100)] * 6 + [other] * 2 + [cloud_of(100)]) == [""] * 5 + ["frozen"] + [""] * 3


@pytest.mark.parametrize("at", [(0, 0, 0), (64, 200, 1), (127, 415, 2)])
def test_one_moving_pixel_in_a_still_picture_is_life(at: tuple[int, int, int]) -> None:
    """Whether or not a glance falls on it: a simulated picture has no noise."""
    frames = []
    for k in range(30):
        frame = LARGE_IMAGE.copy()
        frame[at] = k + 1
        frames.append(Image(frame))
    assert set(reasons_of("camera", frames)) == {""}


def test_frames_that_are_sent_four_times_each_are_used() -> None:
    """Cameras that keep their rate up in the dark do that."""
    frames = [Image(np.roll(LARGE_IMAGE, k // 4, axis=0)) for k in range(40)]
    assert set(reasons_of("camera", frames)) == {""}


def test_the_same_sample_twice_is_a_duplicate_and_tells_nothing() -> None:
    gate = SanityGate(rig_with())
    again = Sample("lidar", 5, 5, 0, cloud_of(10))
    assert [gate.refusal(again) for _ in range(20)] == [""] * 20


def test_a_stream_that_may_stand_still_says_so() -> None:
    assert set(reasons_of("lidar", [cloud_of(10)] * 50, rig_with(frozen_after=None))) == {""}
    assert reasons_of("lidar", [cloud_of(10)] * 3, rig_with(frozen_after=1)) == ["", "frozen", "frozen"]


def test_streams_do_not_share_their_past() -> None:
    gate, cloud, image = SanityGate(rig_with()), cloud_of(10), Image(SMALL_IMAGE, "mono8")
    for k in range(8):
        assert gate.refusal(Sample("lidar", k, k, k, cloud)) == ("frozen" if k >= 5 else "")
        assert gate.refusal(Sample("camera", k, k, k, image)) == ("frozen" if k >= 5 else "")


def chunks(values: np.ndarray, size: int = 320) -> list[AudioChunk]:
    sound = np.atleast_2d(values).astype(np.float32)
    return [AudioChunk(sound[:, at : at + size], RATE_HZ) for at in range(0, sound.shape[1], size)]


@pytest.mark.parametrize("level", [0.0, -0.25])
def test_two_seconds_of_one_value_are_silence(level: float) -> None:
    reasons = reasons_of("audio", chunks(np.full(RATE_HZ * 3, level)))
    assert reasons == [""] * 100 + ["silent"] * 50


def test_sound_ends_silence_at_once() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 640)
    assert reasons_of("audio", chunks(np.concatenate([np.zeros(40_000), noise])))[-3:] == ["silent", "", ""]


def test_one_live_channel_is_sound() -> None:
    stereo = np.stack([np.zeros(RATE_HZ * 3), np.random.default_rng(0).normal(0, 1e-4, RATE_HZ * 3)])
    assert set(reasons_of("audio", chunks(stereo))) == {""}


@pytest.mark.parametrize(("gain", "reason"), [(1.0, ""), (1.2, ""), (1.5, "clipped"), (30.0, "clipped")])
def test_a_tone_far_over_full_scale_is_clipped(gain: float, reason: str) -> None:
    """Half of the samples of a tone driven by 3 dB (1.41) are at full scale."""
    tone = np.clip(gain * np.sin(np.arange(RATE_HZ * 2) * 0.3), -1, 1)
    reasons = reasons_of("audio", chunks(tone))
    assert set(reasons[:49]) == {""}, "the window must fill first"
    assert set(reasons[50:]) == {reason}


@pytest.mark.parametrize("size", [1, 7, 320, 16_000, 40_000])
def test_clipping_is_judged_over_the_window_whatever_the_chunks(size: int) -> None:
    quiet = np.random.default_rng(0).uniform(-0.1, 0.1, 2 * RATE_HZ)
    loud = np.repeat([1.0, -1.0], RATE_HZ // 2)
    loud[:: RATE_HZ // 100] = quiet[:100]  # a sign of life, so that it is not frozen as well
    reasons = reasons_of("audio", chunks(np.concatenate([quiet, loud, loud, quiet]), size))
    assert reasons[0] == "" and reasons[-1] == ""
    assert size > RATE_HZ or "clipped" in reasons


def test_a_buffer_of_sound_that_nobody_fills_is_frozen_wherever_it_lies() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 320)).astype(np.float32)
    interleaved = [AudioChunk(np.asfortranarray(noise), RATE_HZ) for _ in range(3)]
    copies = [AudioChunk(noise.copy(), RATE_HZ) for _ in range(4)]
    assert reasons_of("audio", interleaved + copies) == [""] * 5 + ["frozen"] * 2


def test_silence_is_not_frozen_and_sound_that_follows_is_used() -> None:
    noise = AudioChunk(np.random.default_rng(0).normal(0, 0.1, (1, 320)).astype(np.float32), RATE_HZ)
    pause = AudioChunk(np.zeros((1, 320), np.float32), RATE_HZ)
    assert set(reasons_of("audio", ([noise] * 3 + [pause] * 10) * 4)) == {""}


def test_limits_of_sound_can_be_switched_off() -> None:
    still = rig_with(silent_after_s=None, clipped_share=None)
    assert set(reasons_of("audio", chunks(np.ones(RATE_HZ * 4)), still)) == {""}


def test_readings_are_stuck_only_where_the_rig_says_so() -> None:
    readings = [Reading(np.array([21.5], np.float32), ("t",))] * 20 + [Reading(np.array([21.6], np.float32), ("t",))]
    assert set(reasons_of("room", readings, period_ns=S)) == {""}
    assert reasons_of("room", readings, rig_with(stuck_after_s=9.0), S) == [""] * 10 + ["stuck"] * 10 + [""]


def test_a_stream_that_the_rig_lacks_is_an_error() -> None:
    with pytest.raises(RigError, match="no stream 'radar'"):
        SanityGate(rig_with()).refusal(Sample("radar", 0, 0, 0, cloud_of(1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"frozen_after": 0},
        {"frozen_after": 1.5},
        {"silent_after_s": 0},
        {"silent_after_s": float("nan")},
        {"clipped_share": 1.01},
        {"clipped_window_s": 61},
        {"full_scale": 0},
        {"stuck_after_s": -1},
        {"frozen": 3},
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Stream.model_validate({"kind": "lidar", "rate_hz": 10, "sanity": wrong})


def test_the_simulator_is_never_refused() -> None:
    from edge.runtime.sources.simulator import SimulatorSource

    source = SimulatorSource(seed=3, duration_s=4.0)
    gate = SanityGate(source.rig)
    samples = list(source.samples())
    assert len(samples) > 200
    assert {gate.refusal(sample) for sample in samples} == {""}


def test_a_recorded_drive_is_never_refused(shared_data: Path) -> None:
    from edge.runtime.sources.kitti import KittiSource

    source = KittiSource(shared_data / "kitti_raw_0052")
    gate = SanityGate(source.rig)
    reasons = {gate.refusal(sample) for sample in source.samples()}
    assert reasons == {""}


def test_a_recorded_frame_at_full_size_that_stays_is_frozen() -> None:
    lens = Intrinsics(width=1242, height=375, fx=700, fy=700, cx=600, cy=180)
    rig = Rig(schema=1, anchor="camera", streams={"camera": Stream(kind="camera", rate_hz=10, intrinsics=lens)})
    frame = Image(np.random.default_rng(0).integers(0, 255, (375, 1242, 3), dtype=np.uint8))
    assert reasons_of("camera", [frame] * 7, rig) == [""] * 6 + ["frozen"]


def test_a_log_that_says_one_thing_for_too_long_is_stuck() -> None:
    gate = SanityGate(rig_with(stuck_after_s=2.0))
    said = ["a", "a", "a", "a", "b", "b"]
    found = [gate.refusal(Sample("log", k * S, k * S, k, Text(text))) for k, text in enumerate(said)]
    assert found == ["", "", "", "stuck", "", ""]
