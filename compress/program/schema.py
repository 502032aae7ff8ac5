"""What an exported torch program may say of itself: the part of torch's schema that is tensors and operators.

torch.export.load writes Python code from the names in a file, and imports, evaluates or calls what other fields say. So
nothing is passed on that is not described here: names are identifiers, operators compute tensors from tensors, shapes
are numbers, containers are tuples, lists and dictionaries. (Source: torch/_export/serde/schema.py, version 8.)
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from edge.compress.program.names import InputNesting, Name, Operator, OutputNesting, Path, PathOrRoot

_LIMIT_VALUES = 1 << 31
_KEPT_META = ("nn_module_stack", "torch_fn")
_ITEM_BYTES = {
    **dict.fromkeys((1, 2, 12, 29, 30, 31, 32, 33), 1),
    **dict.fromkeys((3, 6, 13, 28), 2),
    **dict.fromkeys((4, 7, 9, 34), 4),
    **dict.fromkeys((5, 8, 10, 35), 8),
    11: 16,
}


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _kept_meta(metadata: object) -> object:
    """Without the paths of source files; what else torch keeps there is for its developers."""
    return {k: v for k, v in metadata.items() if k in _KEPT_META} if isinstance(metadata, dict) else metadata


Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Size = Annotated[int, Field(ge=0, le=_LIMIT_VALUES)]
Number = float | Literal["Infinity", "-Infinity", "NaN"]
Text = Annotated[str, StringConstraints(max_length=1 << 16)]
Metadata = Annotated[dict[str, Text], BeforeValidator(_kept_meta)]
NoRecords = Annotated[dict[str, Any], Field(max_length=0)]
NoItems = Annotated[tuple[Any, ...], Field(max_length=0)]


class _Union(_Record):
    @model_validator(mode="after")
    def _one(self) -> _Union:
        if len(self.model_fields_set) != 1:
            raise ValueError("must hold one value")
        return self


class _Named(_Record):
    name: Name


class _FixedSize(_Record):
    as_int: Size


class _Device(_Record):
    type: Literal["cpu", "cuda"]
    index: Size | None = None


class TensorMeta(_Record):
    """Type and shape of a tensor."""

    dtype: int
    sizes: Annotated[tuple[_FixedSize, ...], Field(max_length=64)]
    requires_grad: bool
    device: _Device
    strides: Annotated[tuple[_FixedSize, ...], Field(max_length=64)]
    storage_offset: _FixedSize
    layout: Literal[7]

    @property
    def bytes(self) -> int:
        """What its storage must hold at least."""
        if not prod(size.as_int for size in self.sizes):
            return 0
        steps = zip(self.sizes, self.strides, strict=True)
        last = self.storage_offset.as_int + sum((size.as_int - 1) * stride.as_int for size, stride in steps)
        return (last + 1) * _ITEM_BYTES[self.dtype]

    @model_validator(mode="after")
    def _bounded(self) -> TensorMeta:
        values = prod(size.as_int for size in self.sizes)
        if len(self.sizes) != len(self.strides) or values > _LIMIT_VALUES or self.dtype not in _ITEM_BYTES:
            raise ValueError("describes no tensor that fits into a program")
        return self


class _OptionalTensor(_Union):
    as_tensor: _Named | None = None
    as_none: bool | None = None


class _Complex(_Record):
    real: Number
    imag: Number


class _Argument(_Union):
    as_none: bool | None = None
    as_tensor: _Named | None = None
    as_tensors: tuple[_Named, ...] | None = None
    as_int: Integer | None = None
    as_ints: tuple[Integer, ...] | None = None
    as_float: Number | None = None
    as_floats: tuple[Number, ...] | None = None
    as_string: Text | None = None
    as_strings: tuple[Text, ...] | None = None
    as_scalar_type: Size | None = None
    as_memory_format: Size | None = None
    as_layout: Size | None = None
    as_device: _Device | None = None
    as_bool: bool | None = None
    as_bools: tuple[bool, ...] | None = None
    as_optional_tensor: _OptionalTensor | None = None
    as_optional_tensors: tuple[_OptionalTensor, ...] | None = None
    as_complex: _Complex | None = None
    as_nested_tensors: tuple[tuple[_Named, ...], ...] | None = None
    as_int_lists: tuple[tuple[Integer, ...], ...] | None = None
    as_float_lists: tuple[tuple[Number, ...], ...] | None = None


class _TensorArgument(_Record):
    as_tensor: _Named


class _NamedArgument(_Record):
    name: Name
    arg: _Argument
    kind: Literal[0, 1, 2] | None = None


class _Node(_Record):
    target: Operator
    inputs: tuple[_NamedArgument, ...]
    outputs: tuple[_Argument, ...]
    metadata: Metadata
    is_hop_single_tensor_return: bool | None = None
    name: Name | None = None


class _Graph(_Record):
    inputs: tuple[_TensorArgument, ...]
    outputs: tuple[_TensorArgument, ...]
    nodes: tuple[_Node, ...]
    tensor_values: dict[Name, TensorMeta]
    sym_int_values: NoRecords
    sym_bool_values: NoRecords
    sym_float_values: NoRecords = Field(default_factory=dict)
    custom_obj_values: NoRecords = Field(default_factory=dict)
    is_single_tensor_return: Literal[False] = False


class _UserTensor(_Record):
    arg: _TensorArgument


class _Parameter(_Record):
    arg: _Named
    parameter_name: Path


class _Buffer(_Record):
    arg: _Named
    buffer_name: Path
    persistent: bool


class _Constant(_Record):
    arg: _Named
    tensor_constant_name: Path


class _BufferMutation(_Record):
    arg: _Named
    buffer_name: Path


class _InputSpec(_Union):
    user_input: _UserTensor | None = None
    parameter: _Parameter | None = None
    buffer: _Buffer | None = None
    tensor_constant: _Constant | None = None


class _OutputSpec(_Union):
    user_output: _UserTensor | None = None
    buffer_mutation: _BufferMutation | None = None


class _Signature(_Record):
    input_specs: tuple[_InputSpec, ...]
    output_specs: tuple[_OutputSpec, ...]


class _CallSignature(_Record):
    inputs: tuple[_Argument, ...]
    outputs: tuple[_Argument, ...]
    in_spec: InputNesting
    out_spec: OutputNesting
    forward_arg_names: tuple[Name, ...] | None = None


class _Call(_Record):
    fqn: PathOrRoot
    signature: _CallSignature | None = None


class _GraphModule(_Record):
    graph: _Graph
    signature: _Signature
    module_call_graph: tuple[_Call, ...]
    metadata: Metadata
    treespec_namedtuple_fields: NoRecords = Field(default_factory=dict)


class _SchemaVersion(_Record):
    major: Size
    minor: Size


class ProgramFile(_Record):
    """The archive's `models/model.json`."""

    graph_module: _GraphModule
    opset_version: dict[Name, Size]
    range_constraints: NoRecords
    schema_version: _SchemaVersion
    verifiers: tuple[Literal["TRAINING", "ATEN", "EDGE", ""], ...] = ()
    torch_version: Text
    guards_code: NoItems = ()


class Payload(_Record):
    """A weight or constant: its tensor, and the member of the archive that holds its bytes."""

    path_name: Annotated[str, StringConstraints(pattern=r"^(weight|tensor)_[0-9]{1,9}$")]
    is_param: bool
    use_pickle: Literal[False]
    tensor_meta: TensorMeta


class PayloadConfig(_Record):
    """Weights or constants by their names."""

    config: dict[Path, Payload]
