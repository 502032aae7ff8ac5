"""The one-way rule and the size rules, read from the sources themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("runtime", "calibration", "compress", "edge")  # each may import those before it
BEYOND_RUNTIME = {"torch", "torchao", "onnx", "onnxscript", "onnxruntime", "transformers", "tensorrt", "cv2"}
BEYOND_RUNTIME |= {
    "tensorrt_rtx",
    "cuda",
    "cryptography",
    "torch_tensorrt",
    "soundfile",
    "matplotlib",
    "jinja2",
    "scipy",
    "safetensors",
    "accelerate",
    "pandas",
}
BEYOND_RUNTIME |= {"mcap", "mcap_protobuf", "mcap_ros2", "foxglove_schemas_protobuf", "google", "lz4", "zstandard"}
BEYOND_RUNTIME |= {"rerun", "pyarrow", "tokenizers", "datasets", "captum", "peft", "sklearn", "tensorboard"}
BEYOND_RUNTIME |= {"huggingface_hub"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
MAX_LINES = 400


def _modules(layer: str) -> Iterator[Path]:
    folder = ROOT / layer
    yield from (path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every imported dotted name; `from edge.x import y` counts as `edge.x.y`, for y may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{alias.name}") for alias in node.names)


def _layer_of(name: str) -> str | None:
    """The layer that an imported name belongs to, or None for a package that is not ours."""
    parts = name.split(".")
    if parts[0] != "edge":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS[:-1] else "edge"


def _type_checking_lines(tree: ast.AST) -> set[int]:
    """Lines under `if TYPE_CHECKING:`; imports there never run."""
    guarded = (n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test).endswith("TYPE_CHECKING"))
    return {line for n in guarded for line in range(n.lineno, (n.body[-1].end_lineno or n.lineno) + 1)}


def _parsed(layer: str) -> Iterator[tuple[str, ast.Module]]:
    for path in _modules(layer):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    upward = [
        f"{path}:{line} imports {name}"
        for path, tree in _parsed(layer)
        for line, name in _imports(tree)
        if _layer_of(name) not in {None, *allowed}
    ]
    assert upward == []


def _rooms(layer: str) -> dict[str, set[str]]:
    """Each folder and file of a layer with those of the same layer that it imports, for types as well."""
    house: dict[str, set[str]] = {}
    prefix = "edge." if layer == "edge" else f"edge.{layer}."
    for path, tree in _parsed(layer):
        room = Path(path).relative_to(layer).parts[0].removesuffix(".py")
        inside = (name.removeprefix(prefix) for _, name in _imports(tree) if name.startswith(prefix))
        house.setdefault(room, set()).update(name.split(".")[0] for name in inside)
    return {room: {other for other in found if other in house and other != room} for room, found in house.items()}


def _circles(house: dict[str, set[str]]) -> set[str]:
    """What is left when rooms that import nothing of the rest are taken away, again and again."""
    left = dict(house)
    while ground := [room for room, found in left.items() if not found & left.keys()]:
        for room in ground:
            del left[room]
    return set(left)


@pytest.mark.parametrize("layer", LAYERS)
def test_rooms_import_each_other_one_way(layer: str) -> None:
    """A folder is understood when those below it are; one that needs another which needs it is not."""
    assert _circles(_rooms(layer)) == set()


def test_a_circle_of_rooms_is_found() -> None:
    assert _circles({"a": {"b"}, "b": {"c"}, "c": set()}) == set()
    assert _circles({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}) == {"a", "b", "c"}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_import_is_relative(layer: str) -> None:
    relative = [
        f"{path}:{node.lineno}"
        for path, tree in _parsed(layer)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_runtime_imports_no_optional_package() -> None:
    found = []
    for path, tree in _parsed("runtime"):
        never_run = _type_checking_lines(tree)
        found += [
            f"{path}:{line} imports {name}; use require_module"
            for line, name in _imports(tree)
            if name.split(".")[0] in BEYOND_RUNTIME and line not in never_run
        ]
    assert found == []


def test_only_csrc_bindings_are_wrapped_in_runtime() -> None:
    outside = [
        f"{path}:{line} imports {name}"
        for layer in LAYERS[1:]
        for path, tree in _parsed(layer)
        for line, name in _imports(tree)
        if name.startswith("edge.runtime._core")
    ]
    assert outside == []


@pytest.mark.parametrize("layer", [*LAYERS, "tests"])
def test_files_stay_small(layer: str) -> None:
    lengths = {p.relative_to(ROOT): len(p.read_text(encoding="utf-8").splitlines()) for p in _modules(layer)}
    assert {str(path): n for path, n in lengths.items() if n > MAX_LINES} == {}


@pytest.mark.parametrize("layer", LAYERS)
def test_modules_are_named_for_what_is_in_them(layer: str) -> None:
    vague = [str(p.relative_to(ROOT)) for p in _modules(layer) if {p.stem, p.parent.name} & VAGUE_NAMES]
    assert vague == []


@pytest.mark.parametrize("layer", LAYERS)
def test_no_module_carries_the_name_of_its_function(layer: str) -> None:
    """`from package import name` must not mean a module here and a function there; a class differs by its case."""
    doubled = [
        f"{path}: {node.name}"
        for path, tree in _parsed(layer)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and node.name.lower() == Path(path).stem
        and Path(path).parts[:2] != ("edge", "cli")  # there a file is a verb, and so is its function
    ]
    assert doubled == []


@pytest.mark.parametrize("layer", LAYERS)
def test_every_module_says_what_it_is_for(layer: str) -> None:
    silent = [path for path, tree in _parsed(layer) if not ast.get_docstring(tree)]
    assert silent == []


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_unpickles_or_evaluates(layer: str) -> None:
    dangerous = []
    for path, tree in _parsed(layer):
        dangerous += [f"{path}:{line} {name}" for line, name in _imports(tree) if name.split(".")[0] == "pickle"]
        calls = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name))
        dangerous += [f"{path}:{c.lineno}" for c in calls if ast.unparse(c.func) in {"eval", "exec"}]
    assert dangerous == []


def test_the_rules_find_what_they_forbid(tmp_path: Path) -> None:
    tree = ast.parse(
        "from edge import compress\nimport edge.compress.fitting\nfrom edge.runtime import rig\nimport torch\n"
    )
    assert [_layer_of(name) for _, name in _imports(tree)] == ["compress", "compress", "runtime", None]
    guarded = ast.parse("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nimport onnx\n")
    assert _type_checking_lines(guarded) == {2, 3}
