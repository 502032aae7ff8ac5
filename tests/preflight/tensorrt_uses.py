"""Which names of TensorRT's Python API a source file uses, read from its syntax.

The convention of the sources: the module is a variable or attribute named `trt`, or comes from a function `_trt()`;
enumerations are written out as `trt.X.Y`; an object of TensorRT has a name that stands for its class in a table, per
file where the same name means different things. What a method returns is known by the method's name. An attribute that
is called as one of TensorRT's, with an underscore in its name, on an object that no table knows, is reported as
unplaced. Names that Python gives every object (`__init__`) are not TensorRT's.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set
    from pathlib import Path

MODULE = "trt"
Classes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a name.

    Attributes:
        paths: What must exist, such as `Builder.create_network`; one of several where the class may be one of several.
        file: That uses it.
        line: In the file.
    """

    paths: tuple[str, ...]
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {' or '.join(self.paths)}"


@dataclass
class Uses:
    """What one or more files use.

    Attributes:
        uses: Names that must exist.
        guarded: File and name of what a file asks for by `hasattr`, or by `getattr` with a fallback.
        placed: Entries of the tables that were met, so that what is stale can be told.
        unplaced: Uses that look like TensorRT's, of objects that no table knows.
    """

    uses: list[Use] = field(default_factory=list)
    guarded: set[tuple[str, str]] = field(default_factory=set)
    placed: set[tuple[str, str]] = field(default_factory=set)
    unplaced: list[str] = field(default_factory=list)


def objects_of(path: str, objects: Mapping[str, Mapping[str, Classes]]) -> dict[str, tuple[str, Classes]]:
    """The names that stand for objects in a file: pattern that says so, and classes; later patterns win."""
    found: dict[str, tuple[str, Classes]] = {}
    for pattern, names in objects.items():
        if fnmatch(path, pattern):
            found.update({name: (pattern, classes) for name, classes in names.items()})
    return found


class Collector(ast.NodeVisitor):
    """Goes through one file.

    Args:
        path: Of the file, for messages and patterns.
        objects: Classes by file pattern and name.
        returned: Classes by the name of the method that returns them.
        ours: Attributes of our own classes whose objects share a name with one of TensorRT's.
        known: All member names of TensorRT's classes.
        into: What was found.
    """

    def __init__(
        self,
        path: str,
        objects: Mapping[str, Mapping[str, Classes]],
        returned: Mapping[str, Classes],
        ours: Mapping[str, Set[str]],
        known: Set[str],
        into: Uses,
    ) -> None:
        self._path, self._returned, self._ours, self._known, self._into = path, returned, ours, known, into
        self._objects = objects_of(path, objects)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A name on an object, or on the module."""
        parts = _after_module(node)
        if parts:
            self._use(node, ".".join(parts[:2]))
        elif not _is_module(node) and not _after_module(node.value):
            self._on_object(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """`hasattr` and `getattr` with a fallback guard a name."""
        function = node.func.id if isinstance(node.func, ast.Name) else ""
        if (function == "hasattr" and len(node.args) == 2) or (function == "getattr" and len(node.args) == 3):
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                self._into.guarded.add((self._path, name.value))
        self.generic_visit(node)

    def _use(self, node: ast.Attribute, *paths: str) -> None:
        if node.attr.startswith("__") and node.attr != "__version__":
            return
        self._into.uses.append(Use(paths, self._path, node.lineno))

    def _on_object(self, node: ast.Attribute) -> None:
        classes = self._classes(node.value)
        base = _last_name(node.value)
        if node.attr in self._ours.get(base, frozenset()):
            return
        if classes:
            self._use(node, *(f"{name}.{node.attr}" for name in classes))
        elif "_" in node.attr and node.attr in self._known:
            self._into.unplaced.append(f"{self._path}:{node.lineno}: {ast.unparse(node)}")

    def _classes(self, base: ast.expr) -> Classes:
        if isinstance(base, ast.Call):
            method = base.func.attr if isinstance(base.func, ast.Attribute) else ""
            if method in self._returned:
                self._into.placed.add(("returned", method))
            return self._returned.get(method, ())
        pattern, classes = self._objects.get(_last_name(base), ("", ()))
        if classes:
            self._into.placed.add((pattern, _last_name(base)))
        return classes


def collect(
    files: Iterable[tuple[str, Path]],
    objects: Mapping[str, Mapping[str, Classes]],
    returned: Mapping[str, Classes],
    ours: Mapping[str, Set[str]],
    known: Set[str],
) -> Uses:
    """What files use; each comes with the name that it has in messages."""
    found = Uses()
    for name, path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        Collector(name, objects, returned, ours, known, found).visit(tree)
    return found


def uses_tensorrt(path: Path) -> bool:
    """Whether a file has a variable, argument or attribute that is the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if getattr(node, "arg", "") == MODULE or (isinstance(node, ast.expr) and _is_module(node)):
            return True
    return False


def _is_module(node: ast.expr) -> bool:
    """Whether it is the module: `trt`, `x.trt`, or what a function `_trt()` returns."""
    if isinstance(node, ast.Call):
        return _last_name(node.func).lstrip("_") == MODULE
    return _last_name(node) == MODULE


def _after_module(node: ast.expr) -> list[str]:
    """The names behind the module: `Builder`, `create` for `x.trt.Builder.create`; empty where there is no module."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and not _is_module(node):
        parts.append(node.attr)
        node = node.value
    return parts[::-1] if _is_module(node) else []


def _last_name(node: ast.expr) -> str:
    """`network` of `parsed.network`, and of `network`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
