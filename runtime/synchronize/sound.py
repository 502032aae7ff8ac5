"""Windows of sound, cut from the chunks that the core has matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.runtime.clock import NS_PER_S
from edge.runtime.sample import AudioChunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.runtime.sample import Sample

# Chunks follow without a hole where a stamp and its predecessor's end differ by less, as a share of a chunk.
SEAM = 0.5


class StampedChunk(NamedTuple):
    """A chunk and the instant of its first value on the common axis."""

    stamp_ns: int
    sample: Sample


class SoundWindow(NamedTuple):
    """Float32 `[channels, n]` that ends at the instant asked for.

    Attributes:
        payload: The sound.
        concealed_ns: How much of it is silence in place of what was lost.
    """

    payload: AudioChunk
    concealed_ns: int


def chunk_duration_ns(chunk: AudioChunk) -> int:
    """From its first value to just after its last."""
    return int(chunk.samples.shape[-1]) * NS_PER_S // chunk.rate_hz


def cut_window(chunks: Sequence[StampedChunk], end_ns: int, window_ns: int, conceal_ns: int) -> SoundWindow | None:
    """The sound of `window_ns` up to `end_ns`.

    Stamps jitter by less than half a chunk, so that chunks are joined as they are; longer holes are filled with
    silence of their length, as the encoder's own concealment would, and overlaps are cut.

    Args:
        chunks: From old to new, without a hole longer than `conceal_ns`.
        end_ns: Where the window ends, on the common axis.
        window_ns: Its length.
        conceal_ns: How much silence may stand at its beginning, where the sound had not begun.

    Returns:
        None where the chunks do not fill the window, or change rate or channels within it.
    """
    newest = _sound(chunks[-1])
    rate, wanted = newest.rate_hz, round(window_ns * newest.rate_hz / NS_PER_S)
    seam = max(1, round(SEAM * newest.samples.shape[-1]))
    parts: list[NDArray[np.float32]] = []
    have, silent, next_ns = 0, 0, end_ns
    for stamp_ns, sample in reversed(chunks):
        payload = _sound(StampedChunk(stamp_ns, sample))
        if payload.rate_hz != rate or payload.samples.shape[0] != newest.samples.shape[0]:
            return None
        hole = round((next_ns - stamp_ns - chunk_duration_ns(payload)) * rate / NS_PER_S)
        values = payload.samples
        if hole > seam:
            parts.append(np.zeros((values.shape[0], hole), np.float32))
            silent, have = silent + hole, have + hole
        elif hole < 0 and (hole < -seam or not parts):  # overlaps the next one, or runs past the end
            values = values[..., : max(0, values.shape[-1] + hole)]
        parts.append(values)
        have, next_ns = have + values.shape[-1], stamp_ns
        if have >= wanted:
            break
    short = wanted - have
    if short > max(seam, round(conceal_ns * rate / NS_PER_S)):
        return None
    if short > 0:
        parts.append(np.zeros((newest.samples.shape[0], short), np.float32))
        silent += short
    joined = np.concatenate(parts[::-1], axis=-1)
    return SoundWindow(AudioChunk(joined[..., joined.shape[-1] - wanted :], rate), silent * NS_PER_S // rate)


def _sound(chunk: StampedChunk) -> AudioChunk:
    payload = chunk.sample.payload
    assert isinstance(payload, AudioChunk)  # nothing else is taken in
    return payload
