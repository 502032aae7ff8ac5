"""What came of the messages of all streams, as counts by `stream:what`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.synchronize.messages import Release

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.runtime.synchronize.messages import StreamHealth

OVERRUN = "set:overrun"  # sets that nobody took in time
UNUSABLE = "unusable"  # sound without a rate, payloads that do not fit
# What a sample can be let go of for without having had its chance.
DROPS = frozenset(Release) - {Release.USED, Release.PASSED, Release.FLUSHED}


def drop_counts(names: Sequence[str], health_of: Callable[[int], StreamHealth]) -> dict[str, int]:
    """Samples that a policy did not use, as `stream:reason`.

    Args:
        names: Of the streams, by position.
        health_of: Facts of the stream at a position.
    """
    return {
        f"{name}:{why.name.lower()}": count
        for i, name in enumerate(names)
        for why, count in health_of(i).released.items()
        if why in DROPS
    }


def clock_counts(names: Sequence[str], health_of: Callable[[int], StreamHealth]) -> dict[str, int]:
    """Samples that came out of turn and were used, and clock steps, as `stream:reordered` and `stream:clock_step`."""
    counts: dict[str, int] = {}
    for i, name in enumerate(names):
        health = health_of(i)
        counts |= {f"{name}:reordered": health.out_of_order, f"{name}:clock_step": health.epoch}
    return {key: count for key, count in counts.items() if count}
