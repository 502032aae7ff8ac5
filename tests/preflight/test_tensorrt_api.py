"""Every name of TensorRT that our sources use exists in each version that they are for, or is listed with why not."""

from __future__ import annotations

import subprocess
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

from tests.preflight.tensorrt_api import ROOT, TensorRTApi, read_api, requirements
from tests.preflight.tensorrt_uses import Classes, Use, Uses, collect, uses_tensorrt

if TYPE_CHECKING:
    from collections.abc import Mapping, Set
    from pathlib import Path

pytestmark = pytest.mark.preflight

# Which class an object of this name is of, by file; a later pattern wins over an earlier one.
OBJECTS: dict[str, dict[str, Classes]] = {
    "edge/compile/tensorrt/*.py": {
        "builder": ("Builder",),
        "builder_config": ("IBuilderConfig",),
        "network": ("INetworkDefinition",),
        "parser": ("OnnxParser",),
        "profile": ("IOptimizationProfile",),
    },
    "edge/compile/tensorrt/builder.py": {"memory": ("IHostMemory",)},
    "edge/compile/tensorrt/network.py": {"error": ("ParserError",)},
    "edge/compile/tensorrt/network_layers.py": {
        "layer": ("ILayer",),
        "specific": ("IConvolutionLayer", "IDeconvolutionLayer", "IMatrixMultiplyLayer"),
        "tensor": ("ITensor",),
    },
    "edge/compile/tensorrt/timing_cache.py": {"cache": ("ITimingCache",)},
    "edge/compile/precision/declared_in_network.py": {"layer": ("ILayer",)},
    "edge/compile/torch_tensorrt/*.py": {
        "layer": ("IDequantizeLayer", "IQuantizeLayer"),
        "net": ("INetworkDefinition",),
        "network": ("INetworkDefinition",),
    },
    "runtime/engines/engine_inspection.py": {"inspector": ("EngineInspector",)},
    "runtime/engines/*.py": {
        "context": ("IExecutionContext",),
        "engine": ("ICudaEngine",),
        "runtime": ("Runtime",),
    },
}
# What a method of this name returns.
RETURNED: dict[str, Classes] = {
    "get_input": ("ITensor",),
    "get_layer": ("ILayer",),
    "get_output": ("ITensor",),
}
# Attributes of our own classes, objects of which share a name with one of TensorRT's.
OURS = {
    "layer": frozenset({"kind", "layer", "macs", "weights"}),
    "network": frozenset({"parser"}),
}
# Names that a version lacks, and why it does not miss them.
UNTYPED = "set in the untyped regime only, which 11 and RTX do not have"
FOREIGN = (
    "reached only where `ComputeCapability` is found, which TensorRT-RTX has to build for devices that are not here"
)
TYPED_ONLY = frozenset({"11.4.0.106", "rtx-1.7.1.116"})
NOT_RTX = frozenset({"10.3.0", "10.16.1.11", "11.4.0.106"})
ABSENT: dict[str, tuple[Set[str], str]] = {
    "BuilderFlag.FP16": (TYPED_ONLY, UNTYPED),
    "BuilderFlag.INT8": (TYPED_ONLY, UNTYPED),
    "ComputeCapability": (NOT_RTX, FOREIGN),
    "IBuilderConfig.num_compute_capabilities": (NOT_RTX, FOREIGN),
    "IBuilderConfig.set_compute_capability": (NOT_RTX, FOREIGN),
}


@pytest.fixture(scope="module")
def apis() -> tuple[TensorRTApi, ...]:
    """All versions; their bindings are downloaded once."""
    try:
        return tuple(read_api(requirement) for requirement in requirements())
    except subprocess.CalledProcessError as error:
        pytest.fail(f"the bindings of TensorRT cannot be had: {' '.join(map(str, error.cmd))} failed")


@pytest.fixture(scope="module")
def found(apis: tuple[TensorRTApi, ...]) -> Uses:
    """What the sources use."""
    return collect(_sources(), OBJECTS, RETURNED, OURS, _member_names(apis))


def test_the_versions_are_those_of_the_boards_the_newest_and_rtx(apis: tuple[TensorRTApi, ...]) -> None:
    assert [api.version for api in apis] == ["10.3.0", "10.16.1.11", "11.4.0.106", "rtx-1.7.1.116"]
    assert all(api.has("__version__") and len(api.members) > 100 for api in apis)
    assert [api.has("BuilderFlag.INT8") for api in apis] == [True, True, False, False]
    assert all("flags" in api.members["Builder"]["create_network"] for api in apis)


def test_all_that_is_used_exists_in_every_version(apis: tuple[TensorRTApi, ...], found: Uses) -> None:
    missing = [f"{use} is not in {', '.join(lacking)}" for use in found.uses if (lacking := _lacking(apis, use, found))]
    assert missing == []
    assert len(found.uses) > 50


def test_what_is_said_to_be_absent_is_absent_there_and_used(apis: tuple[TensorRTApi, ...], found: Uses) -> None:
    used = {path for use in found.uses for path in use.paths}
    for path, (versions, _why) in ABSENT.items():
        assert path in used, f"{path} is no longer used: take it out of ABSENT"
        assert {api.version for api in apis if not api.has(path)} == versions


def test_every_object_of_tensorrt_has_its_class_in_the_table(found: Uses) -> None:
    assert found.unplaced == [], "give these objects a class in OBJECTS or RETURNED"


def test_the_tables_hold_nothing_stale(found: Uses) -> None:
    entries = {(pattern, name) for pattern, names in OBJECTS.items() for name in names}
    entries |= {("returned", method) for method in RETURNED}
    assert entries - found.placed == set()


SAMPLE = """
def build(library, builder, network, unknown):
    trt = library.trt
    builder.create_network(1 << int(library.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    builder.invented()
    network.get_layer(0).invented_too
    trt.BuilderFlag.NEVER
    trt.Nothing()
    unknown.build_serialized_network(network)
    if hasattr(trt, "ComputeCapability"):
        trt.ComputeCapability.SM86
"""


def test_a_name_that_does_not_exist_is_found(tmp_path: Path, apis: tuple[TensorRTApi, ...]) -> None:
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE, encoding="utf-8")
    objects: Mapping[str, Mapping[str, Classes]] = {
        "sample.py": {"builder": ("Builder",), "network": ("INetworkDefinition",)}
    }
    uses = collect([("sample.py", path)], objects, RETURNED, {}, _member_names(apis))
    missing = {use.paths[0]: len(lacking) for use in uses.uses if (lacking := _lacking(apis, use, uses))}
    assert missing == dict.fromkeys(("Builder.invented", "ILayer.invented_too", "BuilderFlag.NEVER", "Nothing"), 4)
    assert uses.unplaced == ["sample.py:9: unknown.build_serialized_network"]
    assert uses.guarded == {("sample.py", "ComputeCapability")}


def _lacking(apis: tuple[TensorRTApi, ...], use: Use, uses: Uses) -> list[str]:
    """The versions that lack a name and are not excused: by ABSENT, or by a guard in the same file."""
    lacking = [api.version for api in apis if not any(api.has(path) for path in use.paths)]
    parts = {part for path in use.paths for part in path.split(".")}
    if len(lacking) < len(apis) and any((use.file, part) in uses.guarded for part in parts):
        return []
    excused = {version for path in use.paths for version in ABSENT.get(path, (frozenset(), ""))[0]}
    return [version for version in lacking if version not in excused]


def _member_names(apis: tuple[TensorRTApi, ...]) -> frozenset[str]:
    return frozenset(name for api in apis for owner, names in api.members.items() if owner for name in names)


def _sources() -> list[tuple[str, Path]]:
    paths = (path for layer in ("edge", "compress", "calibration", "runtime") for path in (ROOT / layer).rglob("*.py"))
    named = [(path.relative_to(ROOT).as_posix(), path) for path in sorted(paths)]
    listed = {name for name, _path in named for pattern in OBJECTS if fnmatch(name, pattern)}
    return [(name, path) for name, path in named if name in listed or uses_tensorrt(path)]
