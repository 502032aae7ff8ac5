"""A bundle as the subject of a profile of its whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.profile.contents import Subject

if TYPE_CHECKING:
    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine


def streamed_subject(bundle: Bundle, engine: Engine) -> Subject:
    """What was timed, with the tensors that preprocessing makes."""
    shapes = {item.tensor: tuple(item.shape) for item in bundle.model_io.inputs if hasattr(item, "shape")}
    return Subject(name=bundle.manifest.name, kind="bundle", digest=bundle.id, engine=engine.name, inputs=shapes)
