"""What only shows over several samples: content that repeats itself, sound that is silent or clipped, stuck values."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.sanity_limits import SanityLimits

# A fingerprint, whether all bytes are zero, and whether every byte was looked at.
Glance = tuple[int, bool, bool]


class RepeatWatch:
    """Counts how often a content came again under a new stamp.

    A glance at some of the bytes is enough while they change. Where they do not, all bytes are compared by a 64-bit
    fingerprint, so that a small thing that moves through a still picture is seen. No payload is kept.
    """

    def __init__(self, after: int | None) -> None:
        self._after = after
        self._glance: int | None = None
        self._whole: int | None = None
        self._stamp_ns: int | None = None
        self._repeats = 0

    def is_frozen(self, stamp_ns: int, glance: Glance, look: Callable[[], Glance]) -> bool:
        """Whether this content was there `after` times before, in a row.

        Args:
            stamp_ns: The sample's; one with the last one's stamp is a duplicate, which tells nothing.
            glance: At the content.
            look: Gives the fingerprint of every byte; called where the glance does not tell.
        """
        if self._after is None or stamp_ns == self._stamp_ns:
            return self._after is not None and self._repeats >= self._after
        self._stamp_ns = stamp_ns
        seen, _, whole = glance
        if seen != self._glance:
            self._glance, self._whole, self._repeats = seen, seen if whole else None, 0
            return False
        now = seen if whole else look()[0]
        self._repeats = self._repeats + 1 if now == self._whole else 0
        self._whole = now
        return self._repeats >= self._after


class SoundWatch:
    """Adds up how long sound has been flat, and how much of the last moments was at full scale."""

    def __init__(self, limits: SanityLimits, rate_hz: int) -> None:
        self._limits = limits
        self._silent_after = None if limits.silent_after_s is None else limits.silent_after_s * rate_hz
        self._window = round(limits.clipped_window_s * rate_hz)
        self._level: float | None = None
        self._flat = 0
        self._chunks: deque[tuple[int, int]] = deque()  # (samples, of them at full scale) a chunk
        self._heard = 0
        self._full_scale = 0

    def refusal(self, samples: int, values: int, full_scale: int, level: float | None) -> str:
        """Takes a chunk.

        Args:
            samples: Its length in time.
            values: Samples in all channels.
            full_scale: Of those, the ones at full scale.
            level: Its value where every channel holds one value throughout, else None.

        Returns:
            `silent`, `clipped` or nothing.
        """
        if level is None or level != self._level:
            self._level, self._flat = level, 0
        self._flat += 0 if level is None else samples
        is_clipped = self._is_clipped(values, full_scale, values // samples * self._window)
        if self._silent_after is not None and self._flat > self._silent_after:
            return "silent"
        return "clipped" if is_clipped else ""

    def _is_clipped(self, values: int, full_scale: int, window: int) -> bool:
        """Over whole chunks: as few of the last as fill the window."""
        if self._limits.clipped_share is None:
            return False
        chunks = self._chunks
        chunks.append((values, full_scale))
        self._heard += values
        self._full_scale += full_scale
        while self._heard - chunks[0][0] >= window:
            gone, gone_full_scale = chunks.popleft()
            self._heard -= gone
            self._full_scale -= gone_full_scale
        return self._heard >= window and self._full_scale >= self._limits.clipped_share * self._heard


class StuckWatch:
    """Knows since when a row of values is the same."""

    def __init__(self, after_s: float | None) -> None:
        self._after_ns = None if after_s is None else round(after_s * NS_PER_S)
        self._content: bytes | None = None
        self._since_ns = 0

    def is_stuck(self, content: bytes, arrival_ns: int) -> bool:
        """Whether nothing but this content has come for longer than the limit, on the host's clock."""
        if self._after_ns is None:
            return False
        if content != self._content:
            self._content, self._since_ns = content, arrival_ns
        return arrival_ns - self._since_ns > self._after_ns
