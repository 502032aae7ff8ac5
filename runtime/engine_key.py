"""What an engine depends on: its key, the record that lies beside it, and in words how two keys differ.

An engine serves one graph, one device and one TensorRT only. Whatever could change it is in its key: a key that leaves
out, say, a convolution's stride gives an engine of another network to a model that looks alike from outside.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

from edge.runtime.engines.tensorrt_plan import LibraryName, title_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = 1
Extent = Annotated[int, Field(gt=0)]
Shape = tuple[Extent, ...]
Flag = StrictBool | StrictInt | StrictStr
Share = Annotated[float, Field(ge=0, le=1)]
# `built_here`: by this user on this machine. `signed`: came with a bundle that a trusted key has signed. `unknown`:
# neither; such a plan is never handed to TensorRT, because reading one can run code.
Provenance = Literal["built_here", "signed", "unknown"]
_SHA256 = r"^[0-9a-f]{64}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ShapeRange(_Strict):
    """The shapes that one input may take, batch included; all three alike where it is fixed.

    Attributes:
        minimum: Smallest extent of each dimension.
        optimum: What the engine is tuned for.
        maximum: Largest extent of each dimension.
    """

    minimum: Shape
    optimum: Shape
    maximum: Shape

    @model_validator(mode="after")
    def _is_ordered(self) -> ShapeRange:
        if not len(self.minimum) == len(self.optimum) == len(self.maximum):
            raise ValueError("the three shapes have different numbers of dimensions")
        if any(not a <= b <= c for a, b, c in zip(self.minimum, self.optimum, self.maximum, strict=True)):
            raise ValueError(f"{self.minimum} <= {self.optimum} <= {self.maximum} does not hold in every dimension")
        return self

    @classmethod
    def fixed(cls, shape: tuple[int, ...]) -> ShapeRange:
        """Of an input with one shape."""
        return cls(minimum=shape, optimum=shape, maximum=shape)

    def __str__(self) -> str:
        low, best, high = ("x".join(map(str, shape)) for shape in (self.minimum, self.optimum, self.maximum))
        return low if low == high else f"{low} to {high}, best {best}"


class EngineKey(_Strict):
    """All that an engine depends on.

    Attributes:
        graph_sha256: Of the ONNX file: nodes, their arguments, weights and scales (`graph_digest`).
        inputs: Shapes of each input.
        compute_capability: Of the device, such as `8.7`.
        device: Its name: two boards of one compute capability have other clocks, and other kernels are quickest.
        library: Which TensorRT.
        library_version: Its whole version.
        jetpack: Of the board; None elsewhere.
        l4t: The board's Jetson Linux; None elsewhere.
        flags: How it was built: regime, workspace, DLA core, sparsity, optimization level, and the version of any
            compiler in front of TensorRT. What is left at TensorRT's default need not be named.
    """

    graph_sha256: str = Field(pattern=_SHA256)
    inputs: dict[str, ShapeRange] = Field(min_length=1)
    compute_capability: str = Field(pattern=r"^\d{1,2}\.\d$")
    device: str = Field(min_length=1, max_length=100)
    library: LibraryName
    library_version: str = Field(min_length=1, max_length=40)
    jetpack: str | None = None
    l4t: str | None = None
    flags: dict[str, Flag] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the key's canonical form, in hexadecimal; the order of inputs and flags plays no part."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def differences(self, other: EngineKey) -> tuple[str, ...]:
        """In words, what of an engine with the key `other` is not as here; empty where nothing is."""
        return tuple(_differences(other, self))


class EngineRecord(_Strict):
    """`record.json`: an engine's key, and what is known of the engine.

    Attributes:
        key: What it depends on.
        engine_sha256: Of the plan.
        engine_bytes: Size of the plan.
        built_at: UTC, ISO 8601, such as `2026-09-30T12:00:00Z`.
        build_seconds: That the build took.
        peak_build_bytes: How much memory it took at its highest; None where the system does not tell.
        declared: Share of the multiply-accumulates at each precision, as the compiler was told.
        proved: The same as found inside the engine; None where nothing could look.
        bundle_id: Of the bundle that the graph is from.
        edge_version: That built it.
        provenance: Whose the engine is.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    key: EngineKey
    engine_sha256: str = Field(pattern=_SHA256)
    engine_bytes: int = Field(gt=0)
    built_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    build_seconds: float = Field(ge=0)
    peak_build_bytes: int | None = Field(None, ge=0)
    declared: dict[str, Share] = {}
    proved: dict[str, Share] | None = None
    bundle_id: str | None = None
    edge_version: str
    provenance: Provenance = "built_here"

    def to_bytes(self) -> bytes:
        """As the file holds it."""
        content = json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True)
        return (content + "\n").encode()


def graph_digest(graph: bytes) -> str:
    """SHA-256 of an ONNX file that has its weights inside."""
    return hashlib.sha256(graph).hexdigest()


def _differences(there: EngineKey, here: EngineKey) -> Iterator[str]:
    if there.graph_sha256 != here.graph_sha256:
        yield f"graph {there.graph_sha256[:12]} there, {here.graph_sha256[:12]} here"
    if (there.library, there.library_version) != (here.library, here.library_version):
        yield f"{title_of(there.library, there.library_version)} there, {_short_title(there, here)} here"
    inputs, flags = {**there.inputs, **here.inputs}, {**there.flags, **here.flags}
    named: tuple[tuple[str, object, object], ...] = (
        ("compute capability", there.compute_capability, here.compute_capability),
        ("device", there.device, here.device),
        ("JetPack", there.jetpack, here.jetpack),
        ("Jetson Linux", there.l4t, here.l4t),
        *((f"shape of input '{n}':", there.inputs.get(n), here.inputs.get(n)) for n in sorted(inputs)),
        *((f"flag {n}:", there.flags.get(n), here.flags.get(n)) for n in sorted(flags)),
    )
    for name, theirs, ours in named:
        if theirs != ours or type(theirs) is not type(ours):
            yield f"{name} {_said(theirs)} there, {_said(ours)} here"


def _short_title(there: EngineKey, here: EngineKey) -> str:
    return here.library_version if there.library == here.library else title_of(here.library, here.library_version)


def _said(value: object) -> str:
    return "none" if value is None else str(value)
