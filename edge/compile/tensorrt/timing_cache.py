"""Timings of layers from earlier builds on this device: a second build of a like network takes seconds, not minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from edge.compile.tensorrt.network import ParsedNetwork


@dataclass(frozen=True, slots=True)
class TimingCache:
    """One file a device and TensorRT; TensorRT checks itself that the two are the same.

    Attributes:
        path: Of the file; a missing one is made.
    """

    path: Path

    def attach(self, parsed: ParsedNetwork, builder_config: Any) -> tuple[str, ...]:
        """Gives the builder what earlier builds measured.

        Returns:
            Notes for the report: where the file was of no use.
        """
        if parsed.library.is_rtx:
            return ()  # compiles without measuring
        try:
            stored = self.path.read_bytes() if self.path.is_file() else b""
        except OSError as error:
            return (self._begin_anew(parsed, builder_config, f"cannot be read ({error.strerror})"),)
        cache = builder_config.create_timing_cache(stored)
        if cache is not None and builder_config.set_timing_cache(cache, False):
            return ()
        return (self._begin_anew(parsed, builder_config, "is of another device or TensorRT"),)

    def _begin_anew(self, parsed: ParsedNetwork, builder_config: Any, why: str) -> str:
        builder_config.set_timing_cache(builder_config.create_timing_cache(b""), False)
        parsed.logger.take_errors()
        return f"the timing cache {self.path.name} {why} and was begun anew"

    def save(self, parsed: ParsedNetwork, builder_config: Any) -> tuple[str, ...]:
        """Keeps what this build measured, whole or not at all.

        Returns:
            Notes for the report: where it could not be kept, which is no reason to lose the engine.
        """
        cache = None if parsed.library.is_rtx else builder_config.get_timing_cache()
        if cache is None:
            return ()
        try:
            with atomic_file(self.path) as partial:
                partial.write_bytes(bytes(cache.serialize()))
        except OSError as error:
            return (f"the timing cache {self.path.name} could not be written ({error.strerror})",)
        return ()
