"""The tables of docs/estimate.md, as Markdown."""

from __future__ import annotations

from itertools import groupby
from typing import Any

CONSTANTS = {
    "compute": ("share of the peak rate", "{:.2f}"),
    "bandwidth": ("share of the memory's bandwidth", "{:.2f}"),
    "cycles": ("cycles that a kernel costs beside", "{:,.0f}"),
}
SCALES = "nsmlx"
_ORDER = (
    *("ultralytics-super", "ultralytics-nx", "ultralytics-agx", "ultralytics-thor"),
    *("choi", "the0807", "idein", "bevfusion", "nanosam", "mlperf"),
)
HEADER = ("network", "device", "precision", "published (ms)", "estimate over published")


def constants_text(constants: dict[str, dict[str, float]]) -> str:
    """What is used beside what the fit gave."""
    rows = [
        (what, form.format(constants["used"][name]), form.format(constants["fitted"][name]))
        for name, (what, form) in CONSTANTS.items()
    ]
    return _table(("", "used", "fit"), rows)


def errors_text(found: dict[str, Any]) -> str:
    """The rows, those that the constants were fitted to first, and what they come to."""
    parts = (
        ("held_out", "Held out"),
        ("other_networks", "Of these, networks that nothing was fitted to"),
        ("fitted", "Fitted"),
    )
    summary = "\n".join(f"- {title}: {_spread(found[part])}" for part, title in parts)
    notes = [_note(key, publisher) for key, publisher in found["publishers"].items()]
    return "\n\n".join([summary, _table(("", *HEADER), _rows(found["rows"])), "\n".join(notes)])


def _spread(part: dict[str, float]) -> str:
    return (
        f"{part['rows']} figures, {part['lowest']:.2f} to {part['highest']:.2f}, median {part['median']:.2f}; off by a "
        f"factor of {part['median_factor']:.2f} in the median and {part['worst_factor']:.2f} at worst."
    )


def _rows(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The sizes of a network share a row."""
    return [_row(list(group)) for _, group in groupby(sorted(rows, key=_key), key=_name)]


def _key(row: dict[str, Any]) -> tuple[int, str, str, int]:
    order = _ORDER.index(row["publisher"])
    return order, _network(row), row["device"], ("fp32", "fp16", "int8").index(row["precision"])


def _name(row: dict[str, Any]) -> tuple[str, ...]:
    return row["publisher"], _network(row), row["device"], row["precision"]


def _network(row: dict[str, Any]) -> str:
    graph: str = row["graph"]
    return graph[:-1] if graph.startswith("yolo") and graph[-1] in SCALES and graph[-2].isdigit() else graph


def _row(group: list[dict[str, Any]]) -> tuple[str, ...]:
    first = group[0]
    sizes = "".join(row["graph"][-1] for row in group) if len(group) > 1 or _network(first) != first["graph"] else ""
    clock = f", {first['clock'][0]:.0f} MHz" if first["clock"] else ""
    return (
        "fitted" if first["fitted"] else "",
        f"{_network(first)} {sizes} [{first['publisher']}]".replace("  ", " "),
        first["device"] + clock,
        first["precision"].upper(),
        " / ".join(f"{row['ms']:#.3g}" for row in group),
        " / ".join(f"{row['ratio']:.2f}" for row in group),
    )


def _note(key: str, publisher: dict[str, str]) -> str:
    what = f"[{publisher['title']}]({publisher['url']})"
    return f"- [{key}]: {what}. Software: {publisher['software']}. Clocks: {publisher['clocks']}."


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
