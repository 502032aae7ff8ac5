from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from edge.runtime.errors import ConfigError, RigError, SampleError
from edge.runtime.model_io import ImageInput, LidarViewInput, LogMelInput, ModelIO, PresentInput, TensorInput
from edge.runtime.preprocess.image import ImageResizer, make_resize_map
from edge.runtime.preprocess.lidar_view import LidarView, PointProjector
from edge.runtime.preprocess.logmel import LogMel
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Reading

T_CAMERA = ((0, 0, 1, 0.2), (-1, 0, 0, 0), (0, -1, 0, 1.6), (0, 0, 0, 1))
T_LIDAR = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1.73), (0, 0, 0, 1))
RIG = Rig(
    anchor="camera",
    streams={
        "camera": Stream(
            kind="camera",
            rate_hz=10,
            T_base_from_sensor=T_CAMERA,
            intrinsics=Intrinsics(width=200, height=80, fx=120, fy=120, cx=99, cy=41),
        ),
        "lidar": Stream(kind="lidar", rate_hz=10, T_base_from_sensor=T_LIDAR),
        "audio": Stream(kind="audio", rate_hz=10, sample_rate_hz=16_000),
        "climate": Stream(kind="table", rate_hz=1, fields=("light", "temperature")),
    },
)
IMAGE = ImageInput(tensor="image", stream="camera", shape=(1, 3, 24, 60))
VIEW = LidarViewInput(tensor="view", stream="lidar", camera="camera", shape=(1, 4, 24, 60))
MEL = LogMelInput(tensor="mel", stream="audio", shape=(1, 1, 16, 5))
TABLE = TensorInput(
    tensor="table",
    stream="climate",
    shape=(1, 2),
    fields=("temperature", "light"),
    mean=(20.0, 100.0),
    std=(5.0, 50.0),
)
PRESENT = PresentInput(streams=("camera", "lidar", "audio", "climate"))


def make_io(*inputs: Any) -> ModelIO:
    return ModelIO(schema=1, inputs=inputs or (IMAGE, VIEW, MEL, TABLE, PRESENT), outputs=())


def payloads() -> dict[str, Payload]:
    rng = np.random.default_rng(0)
    points = rng.uniform((1, -10, -2, 0), (40, 10, 4, 1), (2000, 4)).astype(np.float32)
    return {
        "camera": Image(rng.integers(0, 256, (80, 200, 3), dtype=np.uint8)),
        "lidar": PointCloud(points),
        "audio": AudioChunk(rng.standard_normal((2, 1500)).astype(np.float32) * np.float32(0.1), 16_000),
        "climate": Reading(np.array([150, 25], np.float32), ("light", "temperature")),
    }


def test_every_tensor_is_made_with_its_shape_and_values() -> None:
    given = payloads()
    tensors = Preprocessor(make_io(), RIG).inputs(given)
    assert list(tensors) == ["image", "view", "mel", "table", "present"]
    assert {k: v.shape for k, v in tensors.items()} == {
        "image": (1, 3, 24, 60),
        "view": (1, 4, 24, 60),
        "mel": (1, 1, 16, 5),
        "table": (1, 2),
        "present": (1, 4),
    }
    assert all(v.dtype == np.float32 and v.flags.c_contiguous for v in tensors.values())
    resize = make_resize_map((200, 80), (60, 24), "stretch")
    image, cloud, sound = given["camera"], given["lidar"], given["audio"]
    assert isinstance(image, Image)
    assert isinstance(cloud, PointCloud)
    assert isinstance(sound, AudioChunk)
    np.testing.assert_array_equal(tensors["image"][0], ImageResizer(resize, IMAGE.mean, IMAGE.std).run(image))
    view = LidarView(RIG.intrinsics("camera"), resize, RIG.transform("camera", "lidar"), np.array(T_LIDAR, np.float64))
    np.testing.assert_array_equal(tensors["view"][0], view.run(cloud.points))
    assert tensors["view"][0, 3].sum() > 100
    end = sound.samples[:, -MEL.window_samples :]
    np.testing.assert_array_equal(tensors["mel"][0, 0], LogMel(MEL).features(end))
    np.testing.assert_allclose(tensors["table"], [[1.0, 1.0]])
    np.testing.assert_array_equal(tensors["present"], [[1, 1, 1, 1]])


@pytest.mark.parametrize("absent", ["camera", "lidar", "audio", "climate"])
def test_an_absent_stream_gives_zeros_and_is_not_present(absent: str) -> None:
    given = payloads()
    del given[absent]
    tensors = Preprocessor(make_io(), RIG).inputs(given)
    empty = [name for name, value in tensors.items() if not value.any()]
    assert empty == [{"camera": "image", "lidar": "view", "audio": "mel", "climate": "table"}[absent]]
    np.testing.assert_array_equal(tensors["present"][0], [float(s != absent) for s in PRESENT.streams])


def test_nothing_at_all_gives_only_zeros() -> None:
    assert not any(v.any() for v in Preprocessor(make_io(), RIG).inputs({}).values())


def test_tensors_go_into_the_rows_of_a_batch() -> None:
    preprocessor, given = Preprocessor(make_io(), RIG), payloads()
    deaf = {k: v for k, v in given.items() if k != "audio"}
    batch = {k: np.full((2, *v.shape[1:]), np.nan, np.float32) for k, v in preprocessor.inputs({}).items()}
    for i, chosen in enumerate((given, deaf)):
        rows = {k: v[i : i + 1] for k, v in batch.items()}
        found = preprocessor.inputs(chosen, out=rows)
        assert all(found[name] is rows[name] for name in rows)
    for name, value in batch.items():
        expected = [preprocessor.inputs(chosen)[name] for chosen in (given, deaf)]
        np.testing.assert_array_equal(value, np.concatenate(expected))


@pytest.mark.parametrize("mode", ["letterbox", "crop"])
def test_the_view_maps_pixels_exactly_as_the_image_does(mode: Any) -> None:
    image = IMAGE.model_copy(update={"resize": mode, "shape": (1, 3, 40, 40)})
    view = VIEW.model_copy(update={"shape": (1, 4, 20, 20)})
    point = np.array([[12.0, 1.5, -0.4, 0.5]], np.float32)
    source, seen = PointProjector(RIG.intrinsics("camera"), RIG.transform("camera", "lidar")).pixels(point)
    assert seen.all()
    u, v = make_resize_map((200, 80), (40, 40), mode).to_model(*map(float, source[0, :2]))
    tensors = Preprocessor(make_io(image, view), RIG).inputs({"lidar": PointCloud(point)})
    rows, columns = np.nonzero(tensors["view"][0, 3])
    # Half the image's size: edges halve.
    assert (columns.tolist(), rows.tolist()) == ([int((u + 0.5) / 2)], [int((v + 0.5) / 2)])


def test_a_view_without_an_image_input_is_stretched() -> None:
    given = payloads()
    together = Preprocessor(make_io(IMAGE, VIEW), RIG).inputs(given)["view"]
    alone = Preprocessor(make_io(VIEW), RIG).inputs(given)["view"]
    np.testing.assert_array_equal(alone, together)


def test_the_audio_window_is_known_to_the_synchronizer() -> None:
    longer = MEL.model_copy(update={"tensor": "long", "shape": (1, 1, 16, 20)})
    preprocessor = Preprocessor(make_io(MEL, longer, IMAGE), RIG)
    assert preprocessor.window_samples("audio") == longer.window_samples == 400 + 19 * 160
    assert preprocessor.window_samples("camera") == 0


def refused(given: dict[str, Payload], says: str) -> None:
    with pytest.raises(SampleError, match=says) as caught:
        Preprocessor(make_io(), RIG).inputs(given)
    assert caught.value.remedy


def test_payloads_that_do_not_fit_are_refused_by_the_streams_name() -> None:
    sound = np.zeros((1, 1500), np.float32)
    refused({"audio": AudioChunk(sound[:, :1039], 16_000)}, "stream 'audio': .*1039 samples.*1040")
    refused({"audio": AudioChunk(sound, 8_000)}, "stream 'audio': .*8000.*16000")
    refused({"audio": AudioChunk(sound + np.float32(np.nan), 16_000)}, "stream 'audio': .*not finite")
    refused({"camera": Image(np.zeros((80, 201, 3), np.uint8))}, "stream 'camera': .*201x80.*200x80")
    refused({"camera": PointCloud(np.zeros((1, 4), np.float32))}, "stream 'camera': .*PointCloud.*Image")
    refused({"lidar": PointCloud(np.zeros((1, 3), np.float32))}, "stream 'lidar': .*float32")
    refused({"climate": Reading(np.zeros(1, np.float32), ("light",))}, "stream 'climate': .*temperature")
    hot = Reading(np.array([np.inf, 1], np.float32), ("light", "temperature"))
    refused({"climate": hot}, "stream 'climate': .*not finite")


def test_a_rig_that_lacks_or_mistakes_a_stream_is_refused() -> None:
    blind = RIG.model_copy(update={"streams": {k: v for k, v in RIG.streams.items() if k != "lidar"}})
    with pytest.raises(RigError, match="no stream 'lidar'"):
        Preprocessor(make_io(IMAGE, VIEW), blind)
    with pytest.raises(RigError, match="no stream 'lidar'"):
        Preprocessor(make_io(IMAGE, PRESENT), blind)
    with pytest.raises(RigError, match="'audio' to be a camera"):
        Preprocessor(make_io(IMAGE.model_copy(update={"stream": "audio"})), RIG)
    with pytest.raises(RigError, match="no camera"):
        Preprocessor(make_io(VIEW.model_copy(update={"camera": "audio"})), RIG)


@pytest.mark.parametrize(
    "item",
    [
        IMAGE.model_copy(update={"shape": (1, 4, 24, 60)}),
        IMAGE.model_copy(update={"shape": (2, 3, 24, 60)}),
        IMAGE.model_copy(update={"shape": (1, 3, 0, 60)}),
        IMAGE.model_copy(update={"mean": (0.5,)}),
        IMAGE.model_copy(update={"std": (0.5, 0.5, -1.0)}),
        VIEW.model_copy(update={"shape": (1, 3, 24, 60)}),
        VIEW.model_copy(update={"depth_range_m": (0.0, 10.0)}),
        MEL.model_copy(update={"shape": (1, 2, 16, 5)}),
        MEL.model_copy(update={"f_max_hz": 9_000.0}),
        TABLE.model_copy(update={"shape": (1, 3)}),
        TABLE.model_copy(update={"std": (1.0, 0.0)}),
    ],
)
def test_inputs_that_contradict_themselves_are_refused(item: Any) -> None:
    with pytest.raises(ConfigError):
        Preprocessor(make_io(item), RIG)


def test_one_grey_channel() -> None:
    item = IMAGE.model_copy(update={"shape": (1, 1, 24, 60)})
    tensors = Preprocessor(make_io(item), RIG).inputs({"camera": Image(np.full((80, 200), 255, np.uint8), "mono8")})
    np.testing.assert_allclose(tensors["image"], np.full((1, 1, 24, 60), 2.0), rtol=1e-6)


def test_threads_share_one_preprocessor() -> None:
    preprocessor, given = Preprocessor(make_io(), RIG), payloads()
    expected = preprocessor.inputs(given)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(preprocessor.inputs, [given] * 40):
            assert all((found[name] == expected[name]).all() for name in expected)
