"""From a matched set of payloads to a model's input tensors, in training, calibration and on the board alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from edge.runtime.errors import ConfigError, RigError, SampleError
from edge.runtime.model_io import ImageInput, LidarViewInput, LogMelInput, ModelIO, PresentInput, TensorInput
from edge.runtime.preprocess.image import ImageResizer, make_resize_map
from edge.runtime.preprocess.lidar_view import LidarView
from edge.runtime.preprocess.logmel import LogMel
from edge.runtime.sample import AudioChunk, Image, PointCloud, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.runtime.preprocess.image import ResizeMap
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Payload

P = TypeVar("P", Image, PointCloud, AudioChunk, Reading)
KINDS = {ImageInput: "camera", LidarViewInput: "lidar", LogMelInput: "audio", TensorInput: "table"}


class Feature(Protocol):
    """Makes one tensor of one stream's payload."""

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        """Fills `out`, the tensor without its batch dimension."""


def camera_resize(model_io: ModelIO, rig: Rig, camera: str) -> ResizeMap:
    """How the model sees a camera: the map of its image input, else of the lidar view into it, else none at all.

    Raises:
        RigError: The rig has no such camera.
    """
    intrinsics = rig.intrinsics(camera)
    size = (intrinsics.width, intrinsics.height)
    for item in model_io.inputs:
        if isinstance(item, ImageInput) and item.stream == camera:
            return make_resize_map(size, (item.shape[3], item.shape[2]), item.resize)
    for item in model_io.inputs:
        if isinstance(item, LidarViewInput) and item.camera == camera:
            return make_resize_map(size, (item.shape[3], item.shape[2]), "stretch")
    return make_resize_map(size, size, "stretch")


class Preprocessor:
    """Makes every tensor of `io.yaml`, float32 with a leading batch of 1. Re-entrant.

    Args:
        model_io: What the model takes.
        rig: The sensors that the payloads come from.

    Raises:
        RigError: The rig lacks a stream, or it is of another kind than the model needs.
        ConfigError: `model_io` contradicts itself.
    """

    def __init__(self, model_io: ModelIO, rig: Rig) -> None:
        self._items = model_io.inputs
        self._features: dict[str, Feature] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._windows: dict[str, int] = {}
        for item in model_io.inputs:
            if isinstance(item, PresentInput):
                self._shapes[item.tensor] = (1, len(item.streams))
                for stream in item.streams:
                    rig.stream(stream)
                continue
            _check_kind(rig, item.stream, KINDS[type(item)])
            _check_shape(item)
            self._shapes[item.tensor] = (1, *item.shape[1:])
            self._features[item.tensor] = _make_feature(item, model_io, rig)
            if isinstance(item, LogMelInput):
                self._windows[item.stream] = max(self.window_samples(item.stream), item.window_samples)

    def window_samples(self, stream: str) -> int:
        """How many audio samples of `stream` must be kept up to the anchor's stamp; 0 for other streams."""
        return self._windows.get(stream, 0)

    def inputs(
        self, payloads: Mapping[str, Payload], out: Mapping[str, NDArray[np.float32]] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Every tensor of the model, in the order of its inputs.

        Args:
            payloads: By stream. One that is absent gives zeros, and 0 in `present`. An AudioChunk ends at the
                anchor's stamp; of a longer one than needed the end is used.
            out: Contiguous float32 tensors to write into, of the shapes that an earlier call gave (such as
                `batch[i : i + 1]`); new ones are made for tensors that are not there. Reusing them saves the pages
                that fresh memory costs.

        Raises:
            SampleError: A payload does not fit the rig or the model; the message names the stream.
        """
        given = out or {}
        tensors: dict[str, NDArray[np.float32]] = {}
        for item in self._items:
            name = item.tensor
            tensor = given[name] if name in given else np.empty(self._shapes[name], np.float32)
            if isinstance(item, PresentInput):
                tensor[0] = [1.0 if stream in payloads else 0.0 for stream in item.streams]
            elif item.stream in payloads:
                self._write(name, item.stream, payloads[item.stream], tensor)
            else:
                tensor.fill(0.0)
            tensors[name] = tensor
        return tensors

    def _write(self, tensor: str, stream: str, payload: Payload, out: NDArray[np.float32]) -> None:
        try:
            self._features[tensor].write(payload, out[0])
        except SampleError as error:
            raise SampleError(f"stream '{stream}': {error.problem}", error.remedy) from error


class _ImageFeature:
    def __init__(self, item: ImageInput, rig: Rig) -> None:
        intrinsics = rig.intrinsics(item.stream)
        size = (intrinsics.width, intrinsics.height)
        channels, height, width = item.shape[1:]
        resize = make_resize_map(size, (width, height), item.resize)
        self._resizer = ImageResizer(resize, item.mean[:channels], item.std[:channels])

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        self._resizer.run(_expect(payload, Image), out)


class _LidarFeature:
    def __init__(self, item: LidarViewInput, model_io: ModelIO, rig: Rig) -> None:
        resize = camera_resize(model_io, rig, item.camera).resized(item.shape[3], item.shape[2])
        base_from_lidar = np.asarray(rig.stream(item.stream).T_base_from_sensor, np.float64)
        self._view = LidarView(
            rig.intrinsics(item.camera),
            resize,
            rig.transform(item.camera, item.stream),
            base_from_lidar,
            depth_range_m=item.depth_range_m,
            height_range_m=item.height_range_m,
        )

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        self._view.run(_expect(payload, PointCloud).points, out)


class _LogMelFeature:
    def __init__(self, item: LogMelInput) -> None:
        self._logmel = LogMel(item)
        self._rate_hz = item.rate_hz

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        chunk, need = _expect(payload, AudioChunk), self._logmel.window_samples
        if chunk.rate_hz != self._rate_hz:
            raise SampleError(
                f"the sound has {chunk.rate_hz} samples a second, but the model needs {self._rate_hz}",
                "resample it at the source or use a model trained for this rate",
            )
        if chunk.samples.shape[-1] < need:
            raise SampleError(
                f"the sound holds {chunk.samples.shape[-1]} samples, but the model's window needs {need}",
                "keep more sound before the anchor's stamp",
            )
        self._logmel.features(chunk.samples[..., chunk.samples.shape[-1] - need :], out[0])


class _ReadingFeature:
    def __init__(self, item: TensorInput) -> None:
        self._fields = item.fields
        self._mean = np.asarray(item.mean, np.float32)
        self._std = np.asarray(item.std, np.float32)

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        reading = _expect(payload, Reading)
        absent = [name for name in self._fields if name not in reading.fields]
        if absent:
            raise SampleError(f"the reading lacks {', '.join(absent)}", f"give the fields {list(self._fields)}")
        values = np.asarray([reading.values[reading.fields.index(name)] for name in self._fields], np.float32)
        if not np.isfinite(values).all():
            raise SampleError("the reading holds values that are not finite", "drop it or mend the source")
        np.divide(values - self._mean, self._std, out=out)


def _make_feature(item: ImageInput | LidarViewInput | LogMelInput | TensorInput, io: ModelIO, rig: Rig) -> Feature:
    if isinstance(item, ImageInput):
        return _ImageFeature(item, rig)
    if isinstance(item, LidarViewInput):
        return _LidarFeature(item, io, rig)
    if isinstance(item, LogMelInput):
        return _LogMelFeature(item)
    return _ReadingFeature(item)


def _check_kind(rig: Rig, stream: str, kind: str) -> None:
    found = rig.stream(stream).kind
    if found != kind:
        raise RigError(f"the model needs '{stream}' to be a {kind} stream, but the rig says {found}", "mend the rig")


def _channels(item: ImageInput | LidarViewInput | LogMelInput | TensorInput) -> int:
    if isinstance(item, TensorInput):
        return len(item.fields)
    if isinstance(item, ImageInput):
        return 3 if item.shape[1] == 3 else 1
    return 4 if isinstance(item, LidarViewInput) else 1


def _check_shape(item: ImageInput | LidarViewInput | LogMelInput | TensorInput) -> None:
    channels = _channels(item)
    if item.shape[0] != 1 or item.shape[1] != channels or min(item.shape) < 1:
        raise ConfigError(
            f"input '{item.tensor}' ({item.feature}) cannot have the shape {list(item.shape)}",
            f"give it a batch of 1 and {channels} channels",
        )
    if isinstance(item, (ImageInput, TensorInput)) and min(len(item.mean), len(item.std)) < channels:
        raise ConfigError(
            f"input '{item.tensor}' has {len(item.mean)} values of mean and {len(item.std)} of std",
            f"give {channels} of each",
        )
    if isinstance(item, TensorInput) and min(item.std) <= 0:
        raise ConfigError(f"input '{item.tensor}' has a std that is not positive", "mend std in io.yaml")


def _expect(payload: Payload, kind: type[P]) -> P:
    if not isinstance(payload, kind):
        raise SampleError(
            f"the payload is a {type(payload).__name__}, but the model needs a {kind.__name__}",
            "map the stream to the right topic or file",
        )
    return payload
