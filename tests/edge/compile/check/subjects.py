"""Models to check, as `open_subject` would give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper

from edge.compile.check.subject import Subject
from edge.compress.precision_plan import PrecisionPlan
from tests.edge.compile.precision.pair_graphs import KERNEL, PairGraph, convolution

if TYPE_CHECKING:
    from edge.compress.program.file import Program

INT8 = PrecisionPlan.int8()


def subject(program: Program | None = None, plan: PrecisionPlan = INT8, **graphs: onnx.ModelProto) -> Subject:
    """A model with these graphs by dialect; one INT8 convolution, `stem`, where there are none."""
    given = graphs or {"s8": convolution()}
    return Subject("model", "bundle", {d: g.SerializeToString() for d, g in given.items()}, program, plan)


def odd_graph() -> onnx.ModelProto:
    """A convolution, and two operators that no TensorRT takes."""
    made = PairGraph(shape=(1, 4, 10, 10))
    stem = made.add("Conv", ["x", made.floats("w", *KERNEL)], "c", "stem")
    made.add("Det", [stem], "d", "head.det")
    made.add("BitwiseNot", [made.add("Cast", ["d"], "i", "cast", to=onnx.TensorProto.INT32)], "b", "head.not")
    made.add("Cast", ["b"], "y", "back", to=onnx.TensorProto.FLOAT)
    return made.model("y")


def any_batch() -> onnx.ModelProto:
    """Its first extent is not fixed."""
    model = convolution()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def one_node(operator: str, **attributes: Any) -> onnx.ModelProto:
    """A graph of one node."""
    made = PairGraph()
    made.add(operator, ["x"], "y", operator.lower(), **attributes)
    return made.model("y")


def with_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The same graph under another opset."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.opset_import[:]
    copy.opset_import.append(helper.make_opsetid("", opset))
    return copy
