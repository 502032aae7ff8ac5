"""The words that name faults on the command line: `lidar:stall@5s+3s`, `audio:clock-step@4s,by=-5s`."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from pydantic import ValidationError

from edge.runtime.errors import FaultError
from edge.runtime.faults.base import ALL, Fault
from edge.runtime.faults.payloads import Empty, Frozen, NotFinite, WrongSize
from edge.runtime.faults.quantities import parse_duration
from edge.runtime.faults.stamps import ClockStep, Drift, Offset
from edge.runtime.faults.transport import Burst, Drop, Duplicate, Late, Reorder, Stall

if TYPE_CHECKING:
    from collections.abc import Iterable

FORM = "STREAM:KIND@START[+LENGTH][,key=value], as in lidar:stall@5s+3s"
_CLASSES: tuple[type[Fault], ...] = (
    *(Drop, Stall, Burst, Late, Duplicate, Reorder),
    *(ClockStep, Drift, Offset),
    *(NotFinite, Empty, WrongSize, Frozen),
)
KINDS: dict[str, type[Fault]] = {str(cls.model_fields["kind"].default): cls for cls in _CLASSES}
_HEAD = re.compile(r"(?P<stream>[^:]*):(?P<kind>[^@:]*)@(?P<start>[^+]*)(?:\+(?P<length>.*))?", re.DOTALL)
_MOST_TEXT = 200
_VALUE_ERROR = "Value error, "


class _Head(NamedTuple):
    stream: str
    kind: type[Fault]
    times: dict[str, str]


def parse_fault(text: str) -> Fault:
    """Reads `STREAM:KIND@START[+LENGTH][,key=value]`.

    START and LENGTH, and all keys that are times, carry a unit: ns, us, ms, s or min. START counts from the source's
    first arrival; without LENGTH a fault lasts to the end. STREAM may be `all`.

    Args:
        text: As on the command line.

    Returns:
        The fault; `str` gives back an equivalent text.

    Raises:
        FaultError: The text is malformed, or a kind, key or value is wrong.
    """
    if len(text) > _MOST_TEXT or not text.isprintable():
        told = f"longer than {_MOST_TEXT} characters" if len(text) > _MOST_TEXT else "with characters that do not print"
        raise FaultError(f"a fault is given {told}", f"write {FORM}")
    head, *options = (part.strip() for part in text.split(","))
    stream, kind, times = _parse_head(text, head)
    values: dict[str, object] = {"stream": stream}
    given = {**times, **_parse_options(text, kind, options)}
    for name, value in given.items():
        values[name] = _number(text, name, value)
    try:
        return kind.model_validate(values)
    except ValidationError as cause:
        _refuse(text, kind, cause)


def check_streams(faults: Iterable[Fault], streams: Iterable[str]) -> None:
    """Refuses faults of streams that are not there, and the same fault twice.

    Raises:
        FaultError: A stream is unknown, or two faults are the same.
    """
    known = sorted(streams)
    seen: set[Fault] = set()
    for fault in faults:
        if fault.stream not in (ALL, *known):
            problem = f"fault '{fault}': the source has no stream '{fault.stream}'"
            raise FaultError(problem + nearest(fault.stream, known), f"name one of {', '.join(known)} or {ALL}")
        if fault in seen:
            raise FaultError(f"fault '{fault}' is given twice", "give it once, or change its time or a value")
        seen.add(fault)


def nearest(word: str, known: Iterable[str]) -> str:
    """A question after the known word that was probably meant; nothing where none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _parse_head(text: str, head: str) -> _Head:
    found = _HEAD.fullmatch(head)
    if found is None:
        missing = ":KIND" if ":" not in head else "@START"
        raise FaultError(f"fault '{text}' lacks its {missing}", f"write {FORM}")
    stream, kind = found["stream"].strip(), found["kind"].strip()
    if not stream:
        raise FaultError(f"fault '{text}' names no stream", f"name one, or {ALL}, before the colon")
    if kind not in KINDS:
        raise FaultError(
            f"fault '{text}' is of unknown kind '{kind}'{nearest(kind, KINDS)}", f"use one of {', '.join(KINDS)}"
        )
    times = {"start_ns": found["start"]}
    if found["length"] is not None:
        times["length_ns"] = found["length"]
    return _Head(stream, KINDS[kind], times)


def _parse_options(text: str, kind: type[Fault], options: list[str]) -> dict[str, str]:
    keys = {name.removesuffix("_ns"): name for name in _own_fields(kind)}
    takes = ", ".join(f"{key}=" for key in keys) or "no keys"
    read: dict[str, str] = {}
    for option in options:
        key, equals, value = (part.strip() for part in option.partition("="))
        if not equals or not value:
            raise FaultError(f"fault '{text}': '{option}' has no value", f"write key=value; it takes {takes}")
        if key not in keys:
            raise FaultError(f"fault '{text}': unknown key '{key}'{nearest(key, keys)}", f"it takes {takes}")
        if keys[key] in read:
            raise FaultError(f"fault '{text}' has two values of '{key}'", "leave one of them out")
        read[keys[key]] = value
    return read


def _own_fields(kind: type[Fault]) -> list[str]:
    return [name for name in kind.model_fields if name not in Fault.model_fields]


def _number(text: str, name: str, value: str) -> float:
    key = name.removesuffix("_ns")
    try:
        if name.endswith("_ns"):
            return parse_duration(value)
        return int(value) if re.fullmatch(r"[+-]?\d{1,9}", value, re.ASCII) else float(value)
    except ValueError as cause:
        told = str(cause) if name.endswith("_ns") else f"'{value}' is no number"
        raise FaultError(f"fault '{text}': {key} {told}", f"write {FORM}") from cause


def _refuse(text: str, kind: type[Fault], cause: ValidationError) -> NoReturn:
    """The first thing that is wrong, in one line."""
    first = cause.errors()[0]
    key = str(first["loc"][0]).removesuffix("_ns") if first["loc"] else ""
    if first["type"] == "missing":
        example = "100" if key == "ppm" else "-5s"
        raise FaultError(f"fault '{text}' lacks '{key}'", f"add ,{key}={example} or another value") from cause
    message = first["msg"].removeprefix(_VALUE_ERROR)
    problem = f"fault '{text}': {key}: {message}" if key else f"fault '{text}': {message}"
    raise FaultError(problem, f"write {FORM}") from cause
