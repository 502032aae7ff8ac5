"""The machine that engines are built and run on: its TensorRT, its CUDA device, and what kind of board it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.compile.tensorrt.library import TensorRTLibrary, open_library
from edge.devices.board import read_board
from edge.runtime.capabilities import has_module
from edge.runtime.engine_key import EngineKey, ShapeRange, graph_digest
from edge.runtime.engines.cuda_runtime import load_cudart, open_device
from edge.runtime.engines.tensor_checks import described_shapes
from edge.runtime.engines.tensorrt_plan import BoardLibraries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.devices.board import Board
    from edge.runtime.engine_key import Flag
    from edge.runtime.engines.cuda_runtime import CudaDevice
    from edge.runtime.model_io import ModelIO


@dataclass(frozen=True, slots=True)
class BoardHost:
    """A machine with a device.

    Attributes:
        libraries: TensorRT and the CUDA runtime, imported.
        device: The CUDA device.
        board: What the machine says of itself; None where it is no board that edge knows.
    """

    libraries: BoardLibraries
    device: CudaDevice
    board: Board | None = None

    @property
    def library(self) -> TensorRTLibrary:
        """Its TensorRT, as the compiler takes it."""
        return TensorRTLibrary(self.libraries.trt, self.libraries.name)

    @property
    def device_name(self) -> str:
        """The board's own name, which tells boards of one GPU apart; the device's elsewhere."""
        return self.board.model if self.board is not None and self.board.is_jetson else self.device.name

    @property
    def title(self) -> str:
        """For reports."""
        return f"{self.libraries.title} on {self.device_name}"

    def key(self, graph: bytes, model_io: ModelIO, flags: Mapping[str, Flag]) -> EngineKey:
        """What an engine for a bundle's graph depends on here."""
        jetpack = self.board.jetpack if self.board is not None else None
        return EngineKey(
            graph_sha256=graph_digest(graph),
            inputs={name: ShapeRange.fixed(shape) for name, shape in described_shapes(model_io).items()},
            compute_capability=self.device.compute_capability,
            device=self.device_name[:100],
            library=self.libraries.name,
            library_version=self.libraries.version,
            jetpack=jetpack.version if jetpack is not None else None,
            l4t=self.board.l4t if self.board is not None else None,
            flags=dict(flags),
        )


def open_host(index: int = 0) -> BoardHost:
    """The machine this runs on.

    Raises:
        MissingDependencyError: TensorRT, cuda-python, the driver or a device is absent.
        ConfigError: There are fewer devices.
    """
    library = open_library()
    cudart = load_cudart()
    libraries = BoardLibraries(library.trt, cudart, library.name)
    return BoardHost(libraries, open_device(cudart, index), read_board())


def is_tensorrt_expected() -> bool:
    """Whether somebody may wonder why `open_host` fails here: TensorRT is installed, or this is a Jetson.

    On a board whose virtual environment does not see JetPack's packages all else works, only many times slower.
    """
    board = read_board()
    return has_module("tensorrt") or has_module("tensorrt_rtx") or (board is not None and board.is_jetson)
