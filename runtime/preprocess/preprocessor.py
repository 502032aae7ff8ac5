"""From a matched set of payloads to a model's input tensors, in training, calibration and on the board alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.model_io import (
    ImageInput,
    LidarViewInput,
    LogMelInput,
    PresentInput,
    SeriesInput,
    TensorInput,
    TokensInput,
)
from edge.runtime.preprocess.image import ImageResizer, make_resize_map
from edge.runtime.preprocess.lidar_view import LidarView
from edge.runtime.preprocess.logmel import LogMel
from edge.runtime.preprocess.payload_kinds import KINDS, check_kind, expect_payload
from edge.runtime.preprocess.tokens import TokensFeature
from edge.runtime.preprocess.values import ReadingFeature, SeriesFeature
from edge.runtime.sample import AudioChunk, Image, PointCloud

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.runtime.model_io import ModelIO, SensorInput
    from edge.runtime.preprocess.image import ResizeMap
    from edge.runtime.preprocess.payload_kinds import Feature
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Payload


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
    """Makes every tensor of `io.yaml`, with a leading batch of 1: int64 of text, float32 of all else. Re-entrant.

    Args:
        model_io: What the model takes.
        rig: The sensors that the payloads come from.
        tokenizers: Bytes of each tokenizer file by the name that `model_io` has for it: those of a bundle, or what
            `read_tokenizers` finds; only text needs them.

    Raises:
        RigError: The rig lacks a stream, or it is of another kind than the model needs.
        ConfigError: `model_io` contradicts itself, or a tokenizer is missing or does not fit.
        MissingDependencyError: The model reads text, and the extra `text` is not installed.
    """

    def __init__(self, model_io: ModelIO, rig: Rig, tokenizers: Mapping[str, bytes] | None = None) -> None:
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
            check_kind(rig, item.stream, KINDS[type(item)])
            _check_shape(item)
            self._shapes[item.tensor] = (1, *item.shape[1:])
            self._features[item.tensor] = _make_feature(item, model_io, rig, tokenizers or {})
            if isinstance(item, LogMelInput):
                self._windows[item.stream] = max(self.window_samples(item.stream), item.window_samples)

    def window_samples(self, stream: str) -> int:
        """How many audio samples of `stream` must be kept up to the anchor's stamp; 0 for other streams."""
        return self._windows.get(stream, 0)

    def inputs(
        self, payloads: Mapping[str, Payload], out: Mapping[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Every tensor of the model, in the order of its inputs.

        Args:
            payloads: By stream. One that is absent gives zeros, and 0 in `present`. An AudioChunk ends at the
                anchor's stamp; of a longer one than needed the end is used.
            out: Contiguous tensors to write into, of the shapes and types that an earlier call gave (such as
                `batch[i : i + 1]`); new ones are made for tensors that are not there. Reusing them saves the pages
                that fresh memory costs.

        Raises:
            SampleError: A payload does not fit the rig or the model; the message names the stream.
        """
        given = out or {}
        tensors: dict[str, NDArray[Any]] = {}
        for item in self._items:
            name = item.tensor
            tensor = given[name] if name in given else np.empty(self._shapes[name], item.dtype)
            if isinstance(item, PresentInput):
                tensor[0] = [1.0 if stream in payloads else 0.0 for stream in item.streams]
            elif item.stream in payloads:
                self._write(name, item.stream, payloads[item.stream], tensor)
            else:
                tensor.fill(0)
            tensors[name] = tensor
        return tensors

    def _write(self, tensor: str, stream: str, payload: Payload, out: NDArray[Any]) -> None:
        try:
            self._features[tensor].write(payload, out[0])
        except SampleError as error:
            raise type(error)(f"stream '{stream}': {error.problem}", error.remedy) from error


class _ImageFeature:
    def __init__(self, item: ImageInput, rig: Rig) -> None:
        intrinsics = rig.intrinsics(item.stream)
        size = (intrinsics.width, intrinsics.height)
        channels, height, width = item.shape[1:]
        resize = make_resize_map(size, (width, height), item.resize)
        self._resizer = ImageResizer(resize, item.mean[:channels], item.std[:channels])

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        self._resizer.run(expect_payload(payload, Image), out)


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
        self._view.run(expect_payload(payload, PointCloud).points, out)


class _LogMelFeature:
    def __init__(self, item: LogMelInput) -> None:
        self._logmel = LogMel(item)
        self._rate_hz = item.rate_hz

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        chunk, need = expect_payload(payload, AudioChunk), self._logmel.window_samples
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


def _make_feature(item: SensorInput, io: ModelIO, rig: Rig, tokenizers: Mapping[str, bytes]) -> Feature:
    if isinstance(item, ImageInput):
        return _ImageFeature(item, rig)
    if isinstance(item, LidarViewInput):
        return _LidarFeature(item, io, rig)
    if isinstance(item, LogMelInput):
        return _LogMelFeature(item)
    if isinstance(item, TensorInput):
        return ReadingFeature(item)
    if isinstance(item, SeriesInput):
        return SeriesFeature(item)
    if item.tokenizer not in tokenizers:
        raise ConfigError(
            f"input '{item.tensor}' needs the tokenizer {item.tokenizer}, which was not given",
            "pass Bundle.tokenizers(), or what read_tokenizers(model_io) reads",
        )
    return TokensFeature(item, tokenizers[item.tokenizer])


def _channels(item: SensorInput) -> int:
    if isinstance(item, TokensInput):
        return item.shape[1]  # as long as it likes
    if isinstance(item, (TensorInput, SeriesInput)):
        return len(item.fields)
    if isinstance(item, ImageInput):
        return 3 if item.shape[1] == 3 else 1
    return 4 if isinstance(item, LidarViewInput) else 1


def _check_shape(item: SensorInput) -> None:
    channels = _channels(item)
    if item.shape[0] != 1 or item.shape[1] != channels or min(item.shape) < 1:
        raise ConfigError(
            f"input '{item.tensor}' ({item.feature}) cannot have the shape {list(item.shape)}",
            f"give it a batch of 1 and {channels} channels",
        )
    if isinstance(item, (ImageInput, TensorInput, SeriesInput)) and min(len(item.mean), len(item.std)) < channels:
        raise ConfigError(
            f"input '{item.tensor}' has {len(item.mean)} values of mean and {len(item.std)} of std",
            f"give {channels} of each",
        )
    if isinstance(item, (TensorInput, SeriesInput)) and min(item.std) <= 0:
        raise ConfigError(f"input '{item.tensor}' has a std that is not positive", "mend std in io.yaml")
