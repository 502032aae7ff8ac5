"""`io.yaml`: how a model's tensors are made from streams, and how its outputs are decoded."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Input(_Strict):
    # Of the tensor, as NumPy spells it: the feature settles it, so that no file has to say it.
    dtype: ClassVar[Literal["float32", "int64"]] = "float32"


class ImageInput(_Input):
    """A camera frame, resized and normalised to float32 `[1, 3, h, w]` (or 1 channel for mono8).

    `mean` and `std` are on the 0..1 scale, one per channel, RGB order.
    """

    feature: Literal["image"] = "image"
    tensor: str
    stream: str
    shape: tuple[int, int, int, int]
    resize: Literal["stretch", "letterbox", "crop"] = "stretch"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)


class LidarViewInput(_Input):
    """A sweep projected into a camera's view, float32 `[1, 4, h, w]`: depth code, height, reflectance, mask.

    The depth code is `2 ln(z / z_min) / ln(z_max / z_min) - 1` of the optical depth z; the height is that above
    the base frame's origin, `(height - height_mid) / height_half`; reflectance is `2 r - 1`. All are clipped to
    [-1, 1]; cells without a return are 0 in every channel; the nearest point wins.
    """

    feature: Literal["lidar_view"] = "lidar_view"
    tensor: str
    stream: str
    camera: str
    shape: tuple[int, int, int, int]
    depth_range_m: tuple[float, float] = (1.0, 80.0)
    height_range_m: tuple[float, float] = (-1.0, 4.0)


class LogMelInput(_Input):
    """Log-mel of the window that ends at the anchor's stamp, float32 `[1, 1, mels, frames]`.

    Hann window, power spectrum, HTK mel filters of unit peak, `(ln(power + floor) - mean) / std`; frames start at
    `k * hop` without padding, so `frames = (window - n_fft) / hop + 1`.
    """

    feature: Literal["logmel"] = "logmel"
    tensor: str
    stream: str
    shape: tuple[int, int, int, int]
    rate_hz: int = 16_000
    n_fft: int = 400
    hop: int = 160
    f_min_hz: float = 50.0
    f_max_hz: float = 8_000.0
    floor: float = 1e-6
    mean: float = -4.0
    std: float = 4.0

    @property
    def window_samples(self) -> int:
        """Length of the window in audio samples."""
        return self.n_fft + (self.shape[3] - 1) * self.hop


class PresentInput(_Input):
    """float32 `[1, modalities]`, 1 where the modality's sample is there; order as listed."""

    feature: Literal["present"] = "present"
    tensor: str = "present"
    streams: tuple[str, ...]


class TensorInput(_Input):
    """A reading's values as they are, float32 `[1, fields]`, normalised by mean and std."""

    feature: Literal["tensor"] = "tensor"
    tensor: str
    stream: str
    shape: tuple[int, int]
    fields: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class SeriesInput(_Input):
    """The last readings of a table stream, float32 `[1, fields, steps]`, oldest first.

    Normalised by `mean` and `std`, one of each a field.
    """

    feature: Literal["series"] = "series"
    tensor: str
    stream: str
    shape: tuple[int, int, int]
    fields: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def steps(self) -> int:
        """Readings that the model sees."""
        return self.shape[2]


class TokensInput(_Input):
    """Text as token ids, int64 `[1, length]`, padded at its end with the tokenizer's padding id, which must be 0.

    Zeros are what an absent text is fed as, too; `present` tells the two apart.

    Attributes:
        tokenizer: A `tokenizer.json` of Hugging Face's `tokenizers`; in a project relative to the project file, in a
            bundle the name of one of its files.
        vocabulary: Rows of the model's embedding table; the tokenizer's ids must all be below it.
        too_long: What becomes of a text of more tokens than `length`: cut at its end, or refused.
    """

    dtype: ClassVar[Literal["float32", "int64"]] = "int64"
    feature: Literal["tokens"] = "tokens"
    tensor: str
    stream: str
    shape: tuple[int, int]
    tokenizer: str
    vocabulary: int = Field(ge=2)
    too_long: Literal["refuse", "cut"] = "refuse"

    @property
    def length(self) -> int:
        """Tokens that the model sees."""
        return self.shape[1]


SensorInput = ImageInput | LidarViewInput | LogMelInput | TensorInput | SeriesInput | TokensInput
Input = Annotated[
    ImageInput | LidarViewInput | LogMelInput | PresentInput | TensorInput | SeriesInput | TokensInput,
    Field(discriminator="feature"),
]


class GridOutput(_Strict):
    """A grid over the camera's view.

    Class logits `[1, 1 + classes, h, w]` (0 is background) and ln(distance / 1 m) `[1, 1, h, w]`.
    """

    decoder: Literal["grid"] = "grid"
    tensor: str
    distance_tensor: str
    camera: str
    classes: tuple[str, ...]
    threshold: float = 0.5
    frame: str = "base"


class EventOutput(_Strict):
    """Independent event logits `[1, classes]`; an event is reported where its sigmoid passes `threshold`."""

    decoder: Literal["events"] = "events"
    tensor: str
    classes: tuple[str, ...]
    threshold: float = 0.5


class SoftmaxOutput(_Strict):
    """One of several classes: logits `[1, classes]`."""

    decoder: Literal["softmax"] = "softmax"
    tensor: str
    classes: tuple[str, ...]
    threshold: float = 0.0


class RawOutput(_Strict):
    """Handed on as numbers."""

    decoder: Literal["raw"] = "raw"
    tensor: str


Output = Annotated[GridOutput | EventOutput | SoftmaxOutput | RawOutput, Field(discriminator="decoder")]


class ModelIO(_Strict):
    """The whole of `io.yaml`. Inputs stand in the order of the model's positional tensors."""

    schema_version: Literal[1] = Field(1, alias="schema")
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> ModelIO:
        names = [i.tensor for i in self.inputs]
        if len(set(names)) != len(names):
            raise ValueError(f"two inputs share a tensor name: {names}")
        return self

    @property
    def modalities(self) -> tuple[str, ...]:
        """Streams that feed the model, in the order of its `present` input (or of its inputs)."""
        for item in self.inputs:
            if isinstance(item, PresentInput):
                return item.streams
        return tuple(i.stream for i in self.inputs if not isinstance(i, PresentInput))

    @property
    def output_tensors(self) -> tuple[str, ...]:
        """Names of the model's output tensors, in its order; a grid has two."""
        return tuple(
            name
            for output in self.outputs
            for name in (output.tensor, *([output.distance_tensor] if isinstance(output, GridOutput) else []))
        )
