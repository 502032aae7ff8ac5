"""Which payloads and streams the model's features are made of, and what turns one into a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edge.runtime.errors import RigError, SampleError
from edge.runtime.model_io import ImageInput, LidarViewInput, LogMelInput, SeriesInput, TensorInput, TokensInput
from edge.runtime.sample import AudioChunk, Image, PointCloud, Reading, Series, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.rig import Rig
    from edge.runtime.sample import Payload

P = TypeVar("P", Image, PointCloud, AudioChunk, Reading, Series, Text)
# The kind of stream that each feature reads.
KINDS = {
    ImageInput: "camera",
    LidarViewInput: "lidar",
    LogMelInput: "audio",
    TensorInput: "table",
    SeriesInput: "table",
    TokensInput: "text",
}


class Feature(Protocol):
    """Makes one tensor of one stream's payload."""

    def write(self, payload: Payload, out: NDArray[Any]) -> None:
        """Fills `out`, the tensor without its batch dimension."""


def expect_payload(payload: Payload, kind: type[P]) -> P:
    """The payload, where it is of that kind.

    Raises:
        SampleError: It is of another.
    """
    if not isinstance(payload, kind):
        raise SampleError(
            f"the payload is a {type(payload).__name__}, but the model needs a {kind.__name__}",
            "map the stream to the right topic or file",
        )
    return payload


def check_kind(rig: Rig, stream: str, kind: str) -> None:
    """Compares a stream's kind with what a feature reads.

    Raises:
        RigError: The rig lacks the stream, or it is of another kind.
    """
    found = rig.stream(stream).kind
    if found != kind:
        raise RigError(f"the model needs '{stream}' to be a {kind} stream, but the rig says {found}", "mend the rig")
