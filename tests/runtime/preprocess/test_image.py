from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.preprocess.image import ImageResizer, ResizeMap, ResizeMode, make_resize_map
from edge.runtime.rig import Distortion, Intrinsics
from edge.runtime.sample import Image

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def picture(width: int, height: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def levels(
    out: NDArray[np.float32], mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
) -> NDArray[np.float64]:
    """Undoes the normalization: `[h, w, channels]` in 0..255."""
    return np.asarray((out.transpose(1, 2, 0).astype(np.float64) * std + mean) * 255)


def bilinear(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float64]:
    """Half-pixel centres, clamped borders, in plain NumPy."""

    def taps(size: int, to: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        at = np.clip((np.arange(to) + 0.5) * size / to - 0.5, 0, size - 1)
        low = np.floor(at).astype(np.intp)
        return low, np.minimum(low + 1, size - 1), at - low

    (x0, x1, wx), (y0, y1, wy) = taps(image.shape[1], width), taps(image.shape[0], height)
    pixels = image.astype(np.float64)
    rows = pixels[y0] * (1 - wy)[:, None, None] + pixels[y1] * wy[:, None, None]
    return np.asarray(rows[:, x0] * (1 - wx)[:, None] + rows[:, x1] * wx[:, None])


def resize(
    image: NDArray[np.uint8], width: int, height: int, mode: ResizeMode = "stretch"
) -> tuple[NDArray[np.float32], ResizeMap]:
    resize_map = make_resize_map((image.shape[1], image.shape[0]), (width, height), mode)
    return ImageResizer(resize_map, MEAN, STD).run(Image(image)), resize_map


sizes = st.integers(1, 70)


@settings(max_examples=150, deadline=None)
@given(sizes, sizes, sizes, sizes)
def test_stretch_equals_the_numpy_reference(w: int, h: int, mw: int, mh: int) -> None:
    image = picture(w, h, seed=w + h)
    np.testing.assert_allclose(levels(resize(image, mw, mh)[0]), bilinear(image, mw, mh), atol=1e-3)


@pytest.mark.parametrize("model", [(640, 192), (621, 187), (160, 48), (1300, 400), (1242, 375), (1, 1), (2484, 750)])
def test_stretch_equals_opencv_within_one_level(model: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    image = picture(1242, 375)
    expected = cv2.resize(image, model, interpolation=cv2.INTER_LINEAR)
    assert np.abs(levels(resize(image, *model)[0]) - expected).max() <= 1.0


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, sizes)
def test_letterbox_keeps_the_aspect_and_pads_with_the_mean(w: int, h: int, mw: int, mh: int) -> None:
    image = picture(w, h)
    out, resize_map = resize(image, mw, mh, "letterbox")
    x, y, cw, ch = (int(v) for v in resize_map.content)
    assert cw == mw or ch == mh
    scale = min(mw / w, mh / h)
    assert (cw, ch) == (max(1, round(w * scale)), max(1, round(h * scale)))
    assert abs((mw - cw) - 2 * x) <= 1
    assert abs((mh - ch) - 2 * y) <= 1
    np.testing.assert_allclose(levels(out)[y : y + ch, x : x + cw], bilinear(image, cw, ch), atol=1e-3)
    padding = np.ones((mh, mw), bool)
    padding[y : y + ch, x : x + cw] = False
    assert not out[:, padding].any()


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, sizes)
def test_crop_cuts_the_centre_to_the_models_aspect(w: int, h: int, mw: int, mh: int) -> None:
    image = picture(w, h)
    out, resize_map = resize(image, mw, mh, "crop")
    x, y, cw, ch = resize_map.crop
    assert cw == w or ch == h
    assert abs((w - cw) - 2 * x) <= 1
    assert abs((h - ch) - 2 * y) <= 1
    np.testing.assert_allclose(levels(out), bilinear(image[y : y + ch, x : x + cw], mw, mh), atol=1e-3)


def test_bgr_is_turned_into_rgb() -> None:
    image = picture(33, 17)
    resizer = ImageResizer(make_resize_map((33, 17), (20, 10), "stretch"), MEAN, STD)
    np.testing.assert_array_equal(
        resizer.run(Image(image)), resizer.run(Image(np.ascontiguousarray(image[..., ::-1]), "bgr8"))
    )


def test_mono_fills_one_channel_or_all() -> None:
    image = picture(33, 17, channels=1)
    resize_map = make_resize_map((33, 17), (20, 10), "stretch")
    three = ImageResizer(resize_map, MEAN, STD).run(Image(image, "mono8"))
    one = ImageResizer(resize_map, MEAN[:1], STD[:1]).run(Image(image, "mono8"))
    expected = bilinear(np.repeat(image[..., None], 3, axis=2), 20, 10)
    np.testing.assert_allclose(levels(three), expected, atol=1e-3)
    np.testing.assert_array_equal(one, three[:1])


@pytest.mark.parametrize(
    "view",
    [
        np.s_[5:45, 10:60],  # a window: rows are strided
        np.s_[::2, ::2],
        np.s_[::-1],
        np.s_[:, ::-1],
        np.s_[:, :, ::-1],
    ],
)
def test_strided_views_are_read_in_place(view: tuple[slice, ...]) -> None:
    image = picture(81, 64)[view]
    copy = np.ascontiguousarray(image)
    assert not image.flags.c_contiguous
    np.testing.assert_allclose(resize(image, 24, 16)[0], resize(copy, 24, 16)[0], atol=1e-6)


def test_a_read_only_frame_is_accepted() -> None:
    image = picture(16, 16)
    image.flags.writeable = False
    assert resize(image, 8, 8)[0].shape == (3, 8, 8)


def test_channel_planes_are_read_in_place() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3, 20, 30), dtype=np.uint8)
    image = planes.transpose(1, 2, 0)
    np.testing.assert_array_equal(resize(image, 16, 8)[0], resize(np.ascontiguousarray(image), 16, 8)[0])


def test_output_goes_into_the_given_buffer() -> None:
    out = np.full((3, 8, 8), np.nan, np.float32)
    resizer = ImageResizer(make_resize_map((32, 8), (8, 8), "letterbox"), MEAN, STD)
    assert resizer.run(Image(picture(32, 8)), out) is out
    assert np.isfinite(out).all()


@settings(max_examples=100, deadline=None)
@given(sizes, sizes, sizes, sizes, st.sampled_from(["stretch", "letterbox", "crop"]))
def test_maps_invert_themselves_and_resize_the_lens(w: int, h: int, mw: int, mh: int, mode: ResizeMode) -> None:
    resize_map = make_resize_map((w, h), (mw, mh), mode)
    assert resize_map.to_source(*resize_map.to_model(3.25, -7.5)) == pytest.approx((3.25, -7.5))
    lens = Intrinsics(width=w, height=h, fx=50, fy=60, cx=w / 2, cy=h / 3)
    seen = resize_map.intrinsics(lens)
    u, v = resize_map.to_model(50 * 0.2 + w / 2, 60 * -0.1 + h / 3)
    assert (seen.fx * 0.2 + seen.cx, seen.fy * -0.1 + seen.cy) == pytest.approx((u, v))
    wider = resize_map.resized(2 * mw, 3 * mh)
    assert wider.to_model(5, 6) == pytest.approx(
        tuple((p + 0.5) * s - 0.5 for p, s in zip(resize_map.to_model(5, 6), (2, 3), strict=True))
    )


def test_a_stretched_lens_equals_the_rigs_own_scaling() -> None:
    lens = Intrinsics(
        width=1242,
        height=375,
        fx=721,
        fy=722,
        cx=609.5,
        cy=172.8,
        distortion=Distortion(model="plumb_bob", coefficients=(0.1, 0, 0, 0)),
    )
    mine = make_resize_map((1242, 375), (640, 192), "stretch").intrinsics(lens)
    theirs = lens.scaled(640, 192)
    assert mine.distortion == theirs.distortion
    for name in ("width", "height", "fx", "fy", "cx", "cy"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name))


def test_a_ramp_lands_where_the_map_says() -> None:
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 30, axis=0).repeat(3, axis=2)
    for mode in ("stretch", "letterbox", "crop"):
        out, resize_map = resize(np.ascontiguousarray(ramp), 40, 12, mode)
        for u in (12, 20, 27):
            assert levels(out)[6, u, 0] == pytest.approx(resize_map.to_source(u, 6)[0], abs=0.01)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (Image(np.zeros((8, 9, 3), np.uint8)), "9x8.*10x8"),
        (Image(np.zeros((8, 10), np.uint8)), "rgb8"),
        (Image(np.zeros((8, 10, 3), np.uint8), "mono8"), "mono8"),
        (Image(np.zeros((8, 10, 4), np.uint8)), r"\[H, W, 3\]"),
        (Image(np.zeros((8, 10, 3), np.float32)), "float32"),
        (Image(np.zeros(10, np.uint8), "mono8"), r"\[10\]"),
    ],
)
def test_frames_that_do_not_fit_are_refused(image: Image, says: str) -> None:
    resizer = ImageResizer(make_resize_map((10, 8), (5, 4), "stretch"), MEAN, STD)
    with pytest.raises(SampleError, match=says):
        resizer.run(image)


def test_a_colour_frame_does_not_fit_one_channel() -> None:
    resizer = ImageResizer(make_resize_map((10, 8), (5, 4), "stretch"), (0.5,), (0.5,))
    with pytest.raises(SampleError, match="one channel"):
        resizer.run(Image(picture(10, 8)))


@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.1, 0.2)), ((0.5,) * 3, (0.1, 0.0, 0.1)), ((0.1, 0.2), (1, 1))])
def test_normalization_that_makes_no_sense_is_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="image input"):
        ImageResizer(make_resize_map((10, 8), (5, 4), "stretch"), mean, std)
