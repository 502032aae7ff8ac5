"""Fixtures shared by all tests, and the rule that CI skips nothing for want of data."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.model_io import ModelIO

if TYPE_CHECKING:
    from collections.abc import Generator

    from edge.packing.pack import BundleContents

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WHERE = "../shared/data"
REQUIRED = "EDGE_REQUIRE_SHARED_DATA"
SMALL_SHAPES = {"camera": (1, 3, 64, 208), "lidar": (1, 4, 64, 208), "audio": (1, 1, 40, 96), "present": (1, 3)}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the checkout; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the recordings in {WHERE}, which are not part of the repository")
    return SHARED_DATA


@pytest.fixture(scope="module", autouse=True)
def _what_was_imported_stays() -> None:
    """A collector that walks through millions of objects of earlier modules, again and again, takes minutes."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Under EDGE_REQUIRE_SHARED_DATA a test that was skipped for want of the recordings has failed."""
    report = yield
    return _failed_where_data_is_required(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """The same for a whole module that skips itself."""
    report = yield
    return _failed_where_data_is_required(report)


def _failed_where_data_is_required(report: Any) -> Any:
    if os.environ.get(REQUIRED) == "1" and report.outcome == "skipped" and WHERE in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{REQUIRED} is set, so this may not be skipped: {report.longrepr[2]}"
    return report


@pytest.fixture(scope="session")
def small_io() -> ModelIO:
    """Camera, lidar and audio in, a grid and events out; small enough to run in a millisecond."""
    return ModelIO.model_validate(
        {
            "schema": 1,
            "inputs": [
                {"feature": "image", "tensor": "camera", "stream": "camera", "shape": [1, 3, 64, 208]},
                {
                    "feature": "lidar_view",
                    "tensor": "lidar",
                    "stream": "lidar",
                    "camera": "camera",
                    "shape": [1, 4, 64, 208],
                },
                {"feature": "logmel", "tensor": "audio", "stream": "audio", "shape": [1, 1, 40, 96]},
                {"feature": "present", "streams": ["camera", "lidar", "audio"]},
            ],
            "outputs": [
                {
                    "decoder": "grid",
                    "tensor": "objects",
                    "distance_tensor": "distance",
                    "camera": "camera",
                    "classes": ["car", "pedestrian"],
                },
                {"decoder": "events", "tensor": "events", "classes": ["siren", "horn"]},
            ],
        }
    )


@pytest.fixture(scope="session")
def small_graph() -> bytes:
    """An untrained ONNX graph with the tensors of `small_io`; its answers depend on every input."""
    onnx = pytest.importorskip("onnx")
    helper, random = onnx.helper, np.random.default_rng(5)

    def weight(name: str, *shape: int) -> Any:
        return onnx.numpy_helper.from_array((random.normal(size=shape) * 0.05).astype(np.float32), name)

    def tensor(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("Concat", ["camera", "lidar"], ["views"], axis=1),
        helper.make_node("Conv", ["views", "w_objects"], ["objects"], strides=[16, 16]),
        helper.make_node("Conv", ["views", "w_distance"], ["distance"], strides=[16, 16]),
        helper.make_node("GlobalAveragePool", ["audio"], ["loudness"]),
        helper.make_node("Flatten", ["loudness"], ["flat"]),
        helper.make_node("Concat", ["flat", "present"], ["heard"], axis=1),
        helper.make_node("MatMul", ["heard", "w_events"], ["events"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [tensor(name, *shape) for name, shape in SMALL_SHAPES.items()],
        [tensor("objects", 1, 3, 4, 13), tensor("distance", 1, 1, 4, 13), tensor("events", 1, 2)],
        [weight("w_objects", 3, 7, 16, 16), weight("w_distance", 1, 7, 16, 16), weight("w_events", 4, 2)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def small_contents(small_io: ModelIO, small_graph: bytes) -> BundleContents:
    """All that `pack_bundle` needs, around `small_graph` and the simulator's rig."""
    from edge.packing.pack import BundleContents
    from edge.runtime.manifest import StageEntry, TrainingData
    from edge.runtime.simulate.rig import street_rig

    random = np.random.default_rng(6)
    return BundleContents(
        name="small",
        graphs={"fp32": small_graph},
        model_io=small_io,
        rig=street_rig(),
        recipe={"stages": []},
        data=TrainingData(kind="none", description="untrained"),
        validated_states={"all": 90.0, "no_audio": 80.0, "no_camera": 70.0, "only_lidar": 50.0},
        golden_inputs=[
            {k: random.normal(size=v).astype(np.float32) for k, v in SMALL_SHAPES.items()} for _ in range(2)
        ],
        licenses="Apache-2.0",
        stages=[StageEntry(name="teacher", params=5000, macs=1, bytes=len(small_graph), metrics={})],
    )


@pytest.fixture
def small_bundle(small_contents: BundleContents, tmp_path: Path) -> Path:
    """A packed bundle around `small_graph`, the test's own copy."""
    from edge.packing.pack import pack_bundle

    return pack_bundle(tmp_path / "bundle", small_contents).path
