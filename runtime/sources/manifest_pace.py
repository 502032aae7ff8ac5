"""How fast the rows of a manifest follow each other when they are replayed as streams, and the rig that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.sanity_limits import SanityLimits
from edge.runtime.sources.manifest_payloads import window_lengths
from edge.runtime.synchronize.rig_streams import usual_delay_ns

if TYPE_CHECKING:
    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig, Stream

# Rows may well be the same picture twice, or a silent sound: they were not taken one after the other.
_UNWATCHED = SanityLimits(frozen_after=None, silent_after_s=None, clipped_share=None, stuck_after_s=None)


def row_rate_hz(rig: Rig, model_io: ModelIO) -> float:
    """Rows a second: one a period of the rig's anchor, or as many periods as the longest window of sound needs."""
    anchor = rig.stream(rig.anchor)
    longest_ns = max((_window_ns(model_io, stream) for stream in window_lengths(model_io)), default=0)
    return anchor.rate_hz / max(1, -(-longest_ns // anchor.period_ns))


def replay_rig(rig: Rig, model_io: ModelIO, anchor: str) -> Rig:
    """The rig of a replay: the model's sensors, at a pace at which a row never hears the sound of the one before it.

    No stream is held, since the sample of another row is not an old one of this, and none is taken for broken because
    it repeats itself. The anchor arrives last, so that a stream which many rows lack, and which is no longer waited
    for, is seen when it is there.

    Args:
        rig: The sensors that the model knows.
        model_io: Its streams, and how long its windows of sound are.
        anchor: The stream whose samples carry the rows' stamps.

    Raises:
        RigError: The rig lacks a stream of the model.
    """
    rate_hz = row_rate_hz(rig, model_io)
    streams = {name: _replayed(rig.stream(name), rate_hz) for name in dict.fromkeys((*model_io.modalities, anchor))}
    if streams[anchor].kind != "audio":
        latest_ms = max(stream.transport_ms for stream in streams.values())
        streams[anchor] = streams[anchor].model_copy(update={"transport_ms": latest_ms})
    return rig.model_copy(update={"anchor": anchor, "streams": streams, "deskew": None})


def _window_ns(model_io: ModelIO, stream: str) -> int:
    """Length of a stream's window of sound, rounded up."""
    rates = [item.rate_hz for item in model_io.inputs if item.feature == "logmel" and item.stream == stream]
    return -(-window_lengths(model_io)[stream] * NS_PER_S // min(rates))


def _replayed(stream: Stream, rate_hz: float) -> Stream:
    # What a whole row lacks is never filled.
    concealed = min(stream.conceal_ms, 500 / rate_hz)
    changes: dict[str, object] = {"policy": "required", "sanity": _UNWATCHED, "conceal_ms": concealed}
    if stream.kind != "audio":
        # What is measured slowly arrives as late as before, whatever the pace.
        changes |= {"rate_hz": rate_hz, "stamp": "end", "transport_ms": usual_delay_ns(stream) / NS_PER_MS}
    return stream.model_copy(update=changes)
