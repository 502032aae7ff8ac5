"""How large the INT8 levels of a graph's weights are, read from the ONNX file without the `onnx` package.

x86 without VNNI adds two products of uint8 and int8 into 16 bits, which overflow where weights use all 8 bits. With
levels of at most 64 two products are at most 2 x 255 x 64 = 32,640, and fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SAFE_LEVEL = 64
_INT8 = 3  # of onnx.TensorProto.DataType
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25  # field numbers of onnx.proto, from here on
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = (5, 10), (6, 11)
_TENSOR_TYPE, _TENSOR_NUMBERS, _TENSOR_RAW, _TENSOR_LOCATION = 2, 5, 9, 14


def has_seven_bit_weights(graph: bytes | Path) -> bool:
    """Whether a graph has INT8 constants and none is larger than 64; False where that cannot be told.

    Args:
        graph: The ONNX file or its bytes. What is malformed, or holds its weights elsewhere, counts as not told.
    """
    data = graph if isinstance(graph, bytes) else graph.read_bytes()
    try:
        largest = [_largest(levels) for levels in _model_levels(memoryview(data))]
    except (_UntoldError, IndexError, ValueError):
        return False
    return bool(largest) and max(largest) <= SAFE_LEVEL


class _UntoldError(Exception):
    """The graph holds constants where they are not looked for."""


def _largest(levels: NDArray[np.int64]) -> int:
    return int(np.abs(levels).max(initial=0))


def _model_levels(model: memoryview) -> Iterator[NDArray[np.int64]]:
    for number, value in _fields(model):
        if number == _MODEL_FUNCTIONS:
            raise _UntoldError
        if number == _MODEL_GRAPH and isinstance(value, memoryview):
            yield from _graph_levels(value)


def _graph_levels(graph: memoryview) -> Iterator[NDArray[np.int64]]:
    for number, value in _fields(graph):
        if number == _GRAPH_SPARSE:
            raise _UntoldError
        if number == _GRAPH_INITIALIZER and isinstance(value, memoryview):
            yield from _tensor_levels(value)
        elif number == _GRAPH_NODE and isinstance(value, memoryview):
            yield from _node_levels(value)


def _node_levels(node: memoryview) -> Iterator[NDArray[np.int64]]:
    attributes = [value for number, value in _fields(node) if number == _NODE_ATTRIBUTE]
    for attribute in attributes:
        for number, value in _fields(attribute) if isinstance(attribute, memoryview) else ():
            if isinstance(value, memoryview) and number in _ATTRIBUTE_TENSORS:
                yield from _tensor_levels(value)
            elif isinstance(value, memoryview) and number in _ATTRIBUTE_GRAPHS:
                yield from _graph_levels(value)


def _tensor_levels(tensor: memoryview) -> Iterator[NDArray[np.int64]]:
    fields = list(_fields(tensor))
    if (_TENSOR_TYPE, _INT8) not in [f for f in fields if f[0] == _TENSOR_TYPE]:
        return
    if any(number == _TENSOR_LOCATION and value for number, value in fields):
        raise _UntoldError  # in another file
    for number, value in fields:
        if number == _TENSOR_RAW and isinstance(value, memoryview):
            yield np.frombuffer(value, np.int8).astype(np.int64)
        elif number == _TENSOR_NUMBERS:
            yield np.array(_packed(value) if isinstance(value, memoryview) else [_signed(value)], np.int64)


def _packed(data: memoryview) -> list[int]:
    numbers, place = [], 0
    while place < len(data):
        number, place = _varint(data, place)
        numbers.append(_signed(number))
    return numbers


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of one protobuf message: numbers, or bytes that are looked into by who knows them."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            number, place = _varint(message, place)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            length, place = _varint(message, place)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise _UntoldError
        if place + length > len(message):
            raise _UntoldError
        yield key >> 3, message[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise _UntoldError
