"""`manifest.json` of a bundle: what the model is, how it came about, how good it is, and every file's digest."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.runtime.errors import BundleError

SCHEMA = 1
LIMIT_MANIFEST_BYTES = 4 << 20
LIMIT_GRAPH_BYTES = 2 << 30  # what one protobuf message can hold
LIMIT_TEXT_BYTES = 1 << 20
LIMIT_GOLDEN_BYTES = 256 << 20
LIMIT_PROGRAM_BYTES = 2 << 30
LIMIT_TOKENIZER_BYTES = 64 << 20  # those of a quarter of a million tokens have a third of it
LARGEST = (1 << 63) - 1
MOST_NESTED = 32  # far beyond what any stage's config needs, far below what a parser trips over
# s8: symmetric INT8, for TensorRT and ARM. s8f16: the same, and the rest in FP16. u8: INT8 as x86 computes it. fp32.
DIALECTS = ("s8", "s8f16", "u8", "fp32")
PROGRAM = "program.pt2"  # the exported torch program, for Torch-TensorRT
TOKENIZER_FILES = ("tokenizer.json", *(f"tokenizer.{i}.json" for i in range(1, 10)))  # a bundle's, in their order
_ANY_DIALECT = "|".join(DIALECTS)
# Everything that a bundle of this schema may hold beside its manifest and signature, and how large it may be.
ALLOWED_FILES = (
    (re.compile(rf"graph\.({_ANY_DIALECT})\.onnx"), LIMIT_GRAPH_BYTES),
    (re.compile(r"(io|rig|recipe)\.yaml|LICENSES"), LIMIT_TEXT_BYTES),
    (re.compile(rf"golden/(inputs|outputs\.({_ANY_DIALECT}))\.npz"), LIMIT_GOLDEN_BYTES),
    (re.compile(re.escape(PROGRAM)), LIMIT_PROGRAM_BYTES),
    (re.compile("|".join(re.escape(name) for name in TOKENIZER_FILES)), LIMIT_TOKENIZER_BYTES),
)
REQUIRED_FILES = ("io.yaml", "rig.yaml", "recipe.yaml", "LICENSES", "golden/inputs.npz")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainingData(_Strict):
    """What the model was trained on; a run on data of another kind says so in its report.

    Attributes:
        kind: `simulated`, `recorded`, a mix of both, or `none` for an untrained model.
        description: One line for people.
    """

    kind: Literal["simulated", "recorded", "mixed", "none"]
    description: str


class StageEntry(_Strict):
    """One stage of the model's making; the same keys as a stage's record in `edge.compress`.

    Attributes:
        name: `teacher`, `student`, `prune`, `quantize`, ...
        params: Weights of the model.
        macs: Multiply-accumulates of one inference.
        bytes: Size of the stage's deployed graph.
        metrics: `{state: {metric: points}}` on the test split.
        gate_metrics: The same on the validation split.
        config: The stage's resolved config.
        seconds: Wall time that it took.
        notes: Facts worth keeping.
    """

    name: str
    params: int = Field(ge=0, le=LARGEST)
    macs: int = Field(ge=0, le=LARGEST)
    bytes: int = Field(gt=0, le=LARGEST)
    metrics: dict[str, dict[str, float]]
    gate_metrics: dict[str, dict[str, float]] = {}
    config: dict[str, Any] = {}
    seconds: float = 0.0
    notes: dict[str, Any] = {}


class FileEntry(_Strict):
    """Size and SHA-256 of one file."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(_Strict):
    """The whole of `manifest.json`.

    Attributes:
        id: Digest of the canonical manifest without this key.
        name: Of the model.
        model_digest: SHA-256 of the model's graphs, or of the weights they came from.
        calibration_digest: Of the calibration set that gave the INT8 scales; None without quantization.
        data: What the model was trained on.
        stages: How it came about.
        states: Score of each modality state that was measured and accepted; the runtime runs no other.
        targets: Devices that it is meant for.
        tool_versions: Of what built it.
        environment: The machine that built it.
        files: Every file but the manifest, by its path inside the bundle.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    id: str
    name: str = Field(min_length=1, max_length=100)
    model_digest: str
    calibration_digest: str | None = None
    data: TrainingData
    stages: tuple[StageEntry, ...] = ()
    states: dict[str, float] = Field(min_length=1)
    targets: tuple[str, ...] = ()
    tool_versions: dict[str, str] = {}
    environment: dict[str, Any] = {}
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _files_are_a_bundle(self) -> Manifest:
        for path, entry in self.files.items():
            limit = size_limit(path)
            if limit is None:
                raise ValueError(f"'{printable(path[:80])}' has no place in a bundle of schema {SCHEMA}")
            if entry.bytes > limit:
                raise ValueError(f"'{path}' claims more than the limit of {limit} bytes")
        graphs = [f"graph.{d}.onnx" for d in self.dialects]
        goldens = [f"golden/outputs.{d}.npz" for d in self.dialects]
        absent = [name for name in (*REQUIRED_FILES, *goldens) if name not in self.files]
        if absent or not graphs:
            raise ValueError(f"it lists no {', '.join(absent) or 'graph'}")
        return self

    @property
    def dialects(self) -> tuple[str, ...]:
        """Dialects that have a graph."""
        return tuple(d for d in DIALECTS if f"graph.{d}.onnx" in self.files)

    def to_bytes(self) -> bytes:
        """As the file holds it."""
        return render(self.model_dump(mode="json", by_alias=True))


def size_limit(path: str) -> int | None:
    """How large the file at `path` inside a bundle may be; None where it has no place there."""
    return next((limit for pattern, limit in ALLOWED_FILES if pattern.fullmatch(path)), None)


def make_manifest(fields: dict[str, Any]) -> Manifest:
    """Validates the fields (all but `id`) and computes the id.

    Raises:
        BundleError: A field is missing, unknown or wrong.
    """
    manifest = _validate({"schema": SCHEMA, **fields, "id": "sha256:"}, "the bundle's contents")
    try:
        digest = digest_of(manifest.model_dump(mode="json", by_alias=True))
    except ValueError as error:
        raise BundleError(f"the bundle's contents do not fit into JSON ({error})", "mend the stages") from error
    return manifest.model_copy(update={"id": digest})


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Reads `manifest.json`.

    Args:
        content: The file's bytes.
        where: Names the file in messages.

    Raises:
        BundleError: No JSON, of a newer schema, malformed, or changed since it was packed.
    """
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is not JSON ({str(error)[:80]})", "pack or copy the bundle again") from error
    if not isinstance(raw, dict):
        raise BundleError(f"{where} is no manifest", "pass the path of a bundle folder")
    refuse_newer(raw.get("schema"), SCHEMA, where)
    if _is_nested(raw, MOST_NESTED):
        raise BundleError(f"{where} is nested more than {MOST_NESTED} deep", "pack or copy the bundle again")
    manifest = _validate(raw, where)
    if not _is_canonical(content, raw, manifest):
        raise BundleError(f"{where} was altered after packing (its id does not match)", "copy the bundle again")
    return manifest


def refuse_newer(schema: object, known: int, where: str) -> None:
    """Tells a file of a later edge from a damaged one.

    Raises:
        BundleError: `schema` is a number beyond `known`.
    """
    if isinstance(schema, int) and schema > known:
        raise BundleError(f"{where} has schema {str(schema)[:20]}, this edge reads {known}", "upgrade edge-fusion")


def _is_nested(value: object, deeper_than: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return deeper_than < 0 or any(_is_nested(item, deeper_than - 1) for item in inner)


def _is_canonical(content: bytes, raw: dict[str, Any], manifest: Manifest) -> bool:
    """Whether the file is to the byte what `make_manifest` gives; doubled keys, NaN and other spacing are not."""
    try:
        return manifest.id == digest_of(raw) and content == manifest.to_bytes()
    except (ValueError, RecursionError):  # NaN, lone surrogates and nesting that cannot have been written
        return False


def digest_of(content: dict[str, Any]) -> str:
    """`sha256:` and the digest of the canonical manifest without its id."""
    rest = {key: value for key, value in content.items() if key != "id"}
    return "sha256:" + hashlib.sha256(render(rest)).hexdigest()


def render(content: dict[str, Any]) -> bytes:
    """The canonical form: sorted keys, indented by one, UTF-8, one newline at the end."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def printable(text: str) -> str:
    """A name for a message; escaped where it holds what a terminal would act on or cannot show."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _validate(raw: dict[str, Any], where: str) -> Manifest:
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = printable(".".join(str(part) for part in first["loc"])[:80]) or "manifest"
        raise BundleError(f"{where}: {key}: {first['msg']}", "pack the bundle again") from error
