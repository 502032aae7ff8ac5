"""Where a view goes: into a viewer on this machine, into a file for later, or both."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.runtime.capabilities import require_module
from edge.runtime.errors import ConfigError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APPLICATION = "edge"
SUFFIX = ".rrd"
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_CLOSE_S = 5.0
_MEMORY = "25%"  # of the machine's, for the viewer: what it shows needs the rest


class ViewOutput:
    """A recording of rerun; the file is there when the run is complete, and nothing is otherwise.

    Args:
        window: Starts rerun's viewer and shows the run in it.
        path: An `.rrd` file that does not exist yet; `rerun FILE` shows it.
        environ: Where the display is looked up.

    Attributes:
        stream: rerun's RecordingStream.

    Raises:
        MissingDependencyError: The extra `viewer` is not installed.
        ConfigError: Neither window nor file, the file cannot be written, or there is no display or viewer to show it.
    """

    def __init__(self, *, window: bool, path: Path | None, environ: Mapping[str, str] = os.environ) -> None:
        check_viewable(window=window, path=path, environ=environ)
        rerun = require_module("rerun")
        self.stream: Any = rerun.RecordingStream(APPLICATION)
        self._path, self._partial = path, None if path is None else _partial_of(path)
        sinks: list[Any] = [] if self._partial is None else [rerun.FileSink(str(self._partial))]
        try:
            if window:
                with _own_programs():
                    self.stream.spawn(connect=False, hide_welcome_screen=True, memory_limit=_MEMORY)
                sinks.append(rerun.GrpcSink())
            self.stream.set_sinks(*sinks)
        except Exception as error:  # rerun raises RuntimeError, OSError and others
            self._remove()
            raise ConfigError(
                f"the view cannot be opened ({first_line(error)})",
                "choose a file with --view-save FILE.rrd, and show it elsewhere with: rerun FILE.rrd",
            ) from error

    def close(self, *, complete: bool) -> None:
        """Puts the file in its place where the run was complete, removes it otherwise; a second call does nothing."""
        if self.stream is None:
            return
        stream, self.stream = self.stream, None
        try:
            stream.flush(timeout_sec=_CLOSE_S)
            stream.disconnect()
            if complete and self._path is not None and self._partial is not None:
                self._partial.chmod(0o644)
                self._partial.replace(self._path)
        finally:
            self._remove()

    def _remove(self) -> None:
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)


def check_viewable(*, window: bool, path: Path | None, environ: Mapping[str, str] = os.environ) -> None:
    """Refuses what no view can be made of, before anything is run.

    Raises:
        MissingDependencyError: The extra `viewer` is not installed.
        ConfigError: See `ViewOutput`.
    """
    require_module("rerun")
    if path is not None and path.suffix != SUFFIX:
        raise ConfigError(f"{path} is no name of a view", f"give the file the ending {SUFFIX}")
    if path is not None and path.exists():
        raise ConfigError(f"{path} exists already", "choose another file for the view, or remove it first")
    if window and sys.platform.startswith("linux") and not any(environ.get(name) for name in _DISPLAYS):
        raise ConfigError(
            "there is no display to show the view on",
            "record it with --view-save FILE.rrd, and show it elsewhere with: rerun FILE.rrd",
        )
    if not window and path is None:
        raise ConfigError("a view goes nowhere", "ask for a window or name a file")


@contextmanager
def _own_programs() -> Iterator[None]:
    """Has the viewer found beside the interpreter, also where its environment was not activated."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _partial_of(path: Path) -> Path:
    """Beside the file, so that it can be put in its place at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=SUFFIX, dir=path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({first_line(error)})", "choose another file") from error
    os.close(handle)
    return Path(name)
