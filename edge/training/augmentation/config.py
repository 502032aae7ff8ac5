"""How each kind of tensor may be varied; every key is off where it is left out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
HalfShare = Annotated[float, Field(ge=0, le=0.5)]
Amount = Annotated[float, Field(ge=0)]


class StreamAugmentConfig(BaseModel):
    """What all kinds have.

    Attributes:
        probability: Share of the samples that are varied at all, apart from `noisy`.
        noisy: Share of the samples in which the whole modality is replaced by noise, so that a fusion learns to
            distrust it; never all modalities that a sample is seen with.
        mismatched: Share of the samples in which it is another sample's of the batch, so that a fusion learns that it
            may be sure and wrong; the labels stay, and so does one modality at least.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: Share = 1.0
    noisy: Share = 0.0
    mismatched: Share = 0.0


class ImageAugmentConfig(StreamAugmentConfig):
    """A picture `[B, C, H, W]`, normalised by mean and standard deviation.

    Attributes:
        shift: Largest movement in each direction, as a share of the side; the border is repeated.
        flip: Probability of a mirror image, left and right exchanged.
        brightness: Largest change of level, in standard deviations.
        contrast: Largest relative change of the distance from the picture's mean.
        noise: Largest standard deviation of Gaussian noise, in those of the input.
        cutout: Largest side of a rectangle that is blanked (DeVries and Taylor 2017), as a share of the picture's.
    """

    kind: Literal["image"] = "image"
    shift: HalfShare = 0.0
    flip: Share = 0.0
    brightness: Amount = 0.0
    contrast: Share = 0.0
    noise: Amount = 0.0
    cutout: Share = 0.0


class LogMelAugmentConfig(StreamAugmentConfig):
    """A log-mel spectrogram `[B, 1, mels, frames]`; decibels are those of the sound, whatever the normalisation.

    Attributes:
        gain_db: Largest change of loudness.
        colour_db: Standard deviation of the gains of `colour_bands` bands, smooth between them: another microphone,
            another room.
        colour_bands: How many.
        warp: Largest relative stretch of the frequency axis: a longer or shorter vocal tract (VTLP, Jaitly and
            Hinton 2013), a machine that turns faster or slower.
        time_shift: Largest movement in time, as a share of the window; the border is repeated.
        floor_db: Loudest added noise floor, against the sample's mean power; down to 30 dB less is drawn.
        time_mask: Longest stretch of frames that is blanked, as a share of the window (SpecAugment, Park et al. 2019).
        frequency_mask: Widest band that is blanked, as a share of the mels.
        masks: Stretches of either kind.
    """

    kind: Literal["logmel"] = "logmel"
    gain_db: Amount = 0.0
    colour_db: Amount = 0.0
    colour_bands: int = Field(8, ge=2)
    warp: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    time_shift: HalfShare = 0.0
    floor_db: float | None = None
    time_mask: Share = 0.0
    frequency_mask: Share = 0.0
    masks: int = Field(1, ge=1)


class LidarViewAugmentConfig(StreamAugmentConfig):
    """A lidar view `[B, 4, H, W]`: depth code, height, reflectance, mask.

    Attributes:
        dropout: Largest share of the cells that lose their return.
        depth_noise: Largest standard deviation of a return's relative error of depth.
        reflectance: Largest relative change of all reflectances of a sample.
    """

    kind: Literal["lidar_view"] = "lidar_view"
    dropout: Share = 0.0
    depth_noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    reflectance: Share = 0.0


class TensorAugmentConfig(StreamAugmentConfig):
    """Readings `[B, fields]`, normalised field by field.

    Attributes:
        jitter: Largest standard deviation of noise, in those of the fields.
        scale: Largest relative change of all of a sample's readings.
        drop: Probability that a field is lost: it then reads its mean.
    """

    kind: Literal["tensor"] = "tensor"
    jitter: Amount = 0.0
    scale: Share = 0.0
    drop: Share = 0.0


class SeriesAugmentConfig(StreamAugmentConfig):
    """Readings over time `[B, fields, steps]`, normalised field by field.

    Attributes:
        jitter: Largest standard deviation of noise, in those of the fields.
        scale: Largest relative change of all of a sample's readings.
        drop: Probability that a field is lost over the whole series: it then reads its mean.
        time_mask: Longest stretch in which all fields are lost, as a share of the steps.
    """

    kind: Literal["series"] = "series"
    jitter: Amount = 0.0
    scale: Share = 0.0
    drop: Share = 0.0
    time_mask: Share = 0.0


class TokensAugmentConfig(StreamAugmentConfig):
    """Token ids `[B, length]`; padding (0) stays, and a text keeps at least one token.

    Attributes:
        drop: Probability that a token is left out; the ones behind it close up.
        replace: Probability that a token is replaced by a random one of the vocabulary.
        kept_ids: Neither left out nor replaced: `[CLS]`, `[SEP]`.
    """

    kind: Literal["tokens"] = "tokens"
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    replace: Share = 0.0
    kept_ids: tuple[int, ...] = ()


AugmentConfig = Annotated[
    ImageAugmentConfig
    | LogMelAugmentConfig
    | LidarViewAugmentConfig
    | TensorAugmentConfig
    | SeriesAugmentConfig
    | TokensAugmentConfig,
    Field(discriminator="kind"),
]
