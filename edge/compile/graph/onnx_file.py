"""An ONNX file from anywhere: weights that lie beside it are taken in, and what is missing or outside is refused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import onnx
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_BYTES = (2 << 30) - 1  # what one protobuf message can hold


def read_onnx(path: Path) -> onnx.ModelProto:
    """Reads a model whole, its external weights included.

    Raises:
        ModelError: The file is missing or no ONNX, or its weights are missing, outside its folder, or too large.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})", "pass the path of an ONNX file") from error
    except Exception as error:  # protobuf's DecodeError, and what its C++ core raises instead
        raise ModelError(f"{path} is no ONNX file ({first_line(error)})", "export the model again") from error
    if not model.graph.node:
        raise ModelError(f"{path} holds no graph", "pass an ONNX file that holds a model")
    _check_external(model, path)
    try:
        load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # the checks of onnx itself: links, sizes, offsets
        raise ModelError(f"the weights of {path} cannot be read ({first_line(error)})", "export it again") from error
    return model


def to_bytes(model: onnx.ModelProto, path: str) -> bytes:
    """The model in one message.

    Raises:
        ModelError: It is larger than a message can be.
    """
    if model.ByteSize() > LIMIT_BYTES:
        raise ModelError(f"{path} has {model.ByteSize()} bytes, more than one file can hold", "make the model smaller")
    return bytes(model.SerializeToString())


def _check_external(model: onnx.ModelProto, path: Path) -> None:
    for tensor in _external_tensors(model):
        location = ExternalDataInfo(tensor).location
        parts = PurePosixPath(location.replace("\\", "/"))
        if not location or parts.is_absolute() or ".." in parts.parts or ":" in location:
            raise ModelError(
                f"{path}: weight '{tensor.name}' lies in '{location[:80]}', outside the model's folder",
                "put all weights into the file, or beside it",
            )
        if not (path.parent / location).is_file():
            raise ModelError(
                f"{path}: weight '{tensor.name}' lies in {location}, which is missing",
                "copy that file beside the model, or export with external_data=False",
            )


def _external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    pending = [model.graph]
    while pending:
        graph = pending.pop()
        yield from (t for t in graph.initializer if uses_external_data(t))
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t") and uses_external_data(attribute.t):
                    yield attribute.t
                pending.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)
