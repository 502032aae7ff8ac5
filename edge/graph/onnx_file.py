"""An ONNX file from anywhere: weights that lie beside it are taken in, and what is missing or outside is refused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import onnx
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from edge.runtime.errors import ModelError, first_line
from edge.runtime.manifest import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIMIT_BYTES = (2 << 30) - 1  # what one protobuf message can hold
_SMALLER = "make the model smaller: TensorRT's parser and ONNX Runtime take it in one message"


def read_onnx(path: Path) -> onnx.ModelProto:
    """Reads a model whole, its external weights included.

    Raises:
        ModelError: The file is missing or no ONNX, or its weights are missing, outside its folder, or too large.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ModelError(f"{path} is no file", "pass the path of an ONNX file")
        if size > LIMIT_BYTES:
            raise ModelError(f"{path} has {size} bytes, more than {LIMIT_BYTES}", _SMALLER)
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})", "pass the path of an ONNX file") from error
    except Exception as error:  # protobuf's DecodeError, and what its C++ core raises instead
        raise ModelError(f"{path} is no ONNX file ({first_line(error)})", "export the model again") from error
    if not model.graph.node:
        raise ModelError(f"{path} holds no graph", "pass an ONNX file that holds a model")
    try:
        _check_external(model, path, size)
        load_external_data_for_model(model, str(path.parent))
        left = next((printable(tensor.name[:80]) for tensor in _external_tensors(model)), None)
        if left is not None:
            raise ModelError(f"{path}: weight '{left}' cannot be taken in", "export with external_data=False")
    except ModelError:
        raise
    except Exception as error:  # the checks of onnx itself: links, sizes, offsets
        raise ModelError(f"the weights of {path} cannot be read ({first_line(error)})", "export it again") from error
    return model


def to_bytes(model: onnx.ModelProto, path: str) -> bytes:
    """The model in one message.

    Raises:
        ModelError: It is larger than a message can be.
    """
    try:
        content = bytes(model.SerializeToString())
    except Exception as error:  # of protobuf, where its own bound is passed
        raise ModelError(f"{path} does not fit into one message ({first_line(error)})", _SMALLER) from error
    if len(content) > LIMIT_BYTES:
        raise ModelError(f"{path} has {len(content)} bytes, more than {LIMIT_BYTES}", _SMALLER)
    return content


def _check_external(model: onnx.ModelProto, path: Path, size: int) -> None:
    for tensor in _external_tensors(model):
        info = ExternalDataInfo(tensor)
        file = _beside(path, info.location, f"{path}: weight '{printable(tensor.name[:80])}'")
        size += info.length if info.length is not None else file.stat().st_size
    if size > LIMIT_BYTES:
        raise ModelError(f"{path} and its weights have {size} bytes, more than {LIMIT_BYTES}", _SMALLER)


def _beside(path: Path, location: str, what: str) -> Path:
    """The file that a weight lies in, once it is known to be one in the model's own folder."""
    parts = PurePosixPath(location.replace("\\", "/"))
    plain = location.isprintable() and not parts.is_absolute() and ".." not in parts.parts and ":" not in location
    file = path.parent / location if plain else path
    if not location or not plain or not file.resolve().is_relative_to(path.parent.resolve()):
        raise ModelError(
            f"{what} lies in '{printable(location[:80])}', outside the model's folder",
            "put all weights into the file, or beside it",
        )
    if not file.is_file():
        raise ModelError(
            f"{what} lies in {location}, which is missing",
            "copy that file beside the model, or export with external_data=False",
        )
    return file


def _external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        while graphs:
            graph = graphs.pop()
            nodes.extend(graph.node)
            sparse = (part for tensor in graph.sparse_initializer for part in (tensor.values, tensor.indices))
            yield from _external((*graph.initializer, *sparse))
        for attribute in nodes.pop().attribute if nodes else ():
            graphs.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)
            yield from _external([attribute.t] if attribute.HasField("t") else attribute.tensors)


def _external(tensors: Iterable[onnx.TensorProto]) -> Iterator[onnx.TensorProto]:
    return (tensor for tensor in tensors if uses_external_data(tensor))
