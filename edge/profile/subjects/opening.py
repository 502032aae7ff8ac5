"""Opens whatever `edge profile` is given, by what lies at its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.bundle_layout import MANIFEST
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.profile.subjects.timed import SubjectConfig, TimedSubject
    from edge.runtime.trust import TrustPolicy

SUFFIXES = (".onnx", ".pt2", ".engine", ".plan")


def is_bundle(path: Path) -> bool:
    """Whether a bundle lies there."""
    return (path / MANIFEST).is_file()


def open_timed(
    path: Path, config: SubjectConfig, trust: TrustPolicy | None = None, *, whole_road: bool = True
) -> TimedSubject:
    """Loads a bundle, an ONNX file, an exported program or a TensorRT engine.

    Args:
        path: Where it lies.
        config: How it is opened.
        trust: What a bundle's signature must be.
        whole_road: Time a bundle from payloads to detections, and not its engine alone.

    Raises:
        ConfigError: There is nothing, or nothing that can be timed; or an option does not go with it.
        EdgeError: It does not load; the message says why.
    """
    if is_bundle(path):
        from edge.profile.subjects.bundle_subject import open_bundle_engine, open_bundle_road
        from edge.runtime.bundle import Bundle

        bundle = Bundle.open(path, trust)
        return open_bundle_road(bundle, config) if whole_road else open_bundle_engine(bundle, config)
    if not path.exists():
        raise ConfigError(f"there is no {path}", f"pass a bundle's folder or a file: {', '.join(SUFFIXES)}")
    if config.sources or config.dialect:
        raise ConfigError(f"{path.name} is no bundle", "leave --source and --dialect out")
    return _open_file(path, config)


def _open_file(path: Path, config: SubjectConfig) -> TimedSubject:
    if path.suffix == ".onnx":
        from edge.profile.subjects.onnx_subject import open_onnx_graph

        return open_onnx_graph(path, config)
    if path.suffix == ".pt2":
        from edge.profile.subjects.program_subject import open_exported_program

        return open_exported_program(path, config)
    if path.suffix in (".engine", ".plan"):
        from edge.profile.subjects.engine_subject import open_engine_file

        return open_engine_file(path, config)
    raise ConfigError(
        f"{path} is nothing that edge can time", f"pass a bundle's folder or a file: {', '.join(SUFFIXES)}"
    )
