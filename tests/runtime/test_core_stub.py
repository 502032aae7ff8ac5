"""The hand-kept stub of the C++ core against the one that nanobind derives from the built extension."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

STUB = Path(__file__).resolve().parents[2] / "runtime" / "_core.pyi"


class _Plain(ast.NodeTransformer):
    """Brings both spellings together: no array constraints, one name for NumPy."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
            return node.slice.elts[0]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name("np") if node.id == "numpy" else node


def _signatures(text: str) -> dict[str, str]:
    tree = _Plain().visit(ast.parse(text))
    return dict(_walk(tree.body, ""))


def _walk(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, "class"
            yield from _walk(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            returns = ast.unparse(node.returns) if node.returns else "None"
            yield prefix + node.name, f"({ast.unparse(node.args)}) -> {returns}"


def _generated(folder: Path) -> str:
    out = folder / "_core.pyi"
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "edge.runtime._core", "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return out.read_text(encoding="utf-8")


def test_the_stub_describes_the_built_extension(tmp_path: Path) -> None:
    built, kept = _signatures(_generated(tmp_path)), _signatures(STUB.read_text(encoding="utf-8"))
    assert kept == built


def test_a_changed_argument_is_seen() -> None:
    before = "import numpy\ndef f(a: Annotated[NDArray[numpy.float32], dict(order='C')], b: int) -> None: ..."
    after = "import numpy as np\ndef f(a: NDArray[np.float32], c: int) -> None: ..."
    assert _signatures(before) == {"f": "(a: NDArray[np.float32], b: int) -> None"}
    assert _signatures(before) != _signatures(after)
