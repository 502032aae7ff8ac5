"""How long a stream may say the same, or shout, before the sanity gate takes it for broken; part of the rig."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SanityLimits(BaseModel):
    """Limits of one stream; None switches a check off.

    The defaults are far from what working sensors do. A camera's noise makes two equal frames of a million bytes
    impossible, but drivers that keep their frame rate up in the dark send each exposure up to four times, so five
    repeats. A microphone's noise reaches the last bit of its converter, so two seconds of one value are a muted or
    unplugged one, and a chunk of sound that comes back to the last bit is a buffer that nobody fills any more. A tone
    driven 3 dB over full scale is there half of the time, and a log-mel of it is all harmonics. A thermometer may rest
    for hours, so what is stuck depends on the sensor and nothing is assumed.

    Streams that are legitimately still, such as a simulation without noise, a test tone whose period divides the chunk
    or a recording with muted passages, set the limit to null in their rig.

    Attributes:
        frozen_after: Cameras, lidars and sound: the sample that is the so manieth repeat in a row, the same to the last
            byte under a new stamp, is refused, and so are those that follow until the content changes. Of payloads
            above 64 KiB it takes one more, because the first repeat is only suspected. Sound of one value is silence
            and not frozen.
        silent_after_s: Audio: every channel has held one value for longer than this.
        clipped_share: Audio: share of the samples at full scale in the last `clipped_window_s` at which it is useless.
        clipped_window_s: Length of that window.
        full_scale: Magnitude from which a sample counts as full scale.
        stuck_after_s: Tables and text: the values, or the words, have not changed for longer than this, while new ones
            kept coming.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    frozen_after: int | None = Field(5, ge=1)
    silent_after_s: float | None = Field(2.0, gt=0)
    clipped_share: float | None = Field(0.5, gt=0, le=1)
    clipped_window_s: float = Field(1.0, gt=0, le=60)
    full_scale: float = Field(0.999, gt=0, le=1)
    stuck_after_s: float | None = Field(None, gt=0)
