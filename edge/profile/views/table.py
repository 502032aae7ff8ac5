"""A profile on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from edge.profile.contents import STAGES
from edge.profile.views.state_rows import state_lines
from edge.profile.views.wording import (
    SHARES,
    distribution_of,
    percentiles_of,
    scenario_words,
    shape_words,
    shortened,
    stage_words,
)
from edge.report.page_templates import DASH, milliseconds
from edge.report.table import human_bytes, human_count
from edge.runtime.manifest import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from edge.profile.contents import Measured, Profile
    from edge.runtime.statistics import Distribution

TOP_LAYERS = 8
_NAME_LENGTH = 48
_LINE_LENGTH = 100


def profile_table(profile: Profile) -> RenderableType:
    """What was timed on which machine, percentiles with intervals, stages, the slowest layers, notes.

    A percentile that n does not support is a dash with the n that it needs. Names are printed as they are, never read
    as markup.
    """
    parts: list[RenderableType] = [_head(profile), _percentile_table(profile)]
    if profile.stages_ms or profile.age_ms:
        parts.append(_stage_table(profile))
    if profile.layers:
        parts.append(_layer_table(profile))
    parts += [_facts(profile), *(Text(f"- {printable(note)}") for note in profile.notes)]
    return Group(*parts)


def _head(profile: Profile) -> Text:
    subject = profile.subject
    name = Text.assemble(
        (shortened(subject.name, _LINE_LENGTH), "bold"), f"  {subject.kind}, {shortened(subject.engine, _LINE_LENGTH)}"
    )
    settled = "settled" if profile.stable else "durations had not settled"
    source = shortened(profile.source, _LINE_LENGTH)
    lines = [
        name,
        Text(f"{scenario_words(profile)}; {source}; {profile.warm_up_calls} warm-up calls, {settled}"),
        *(Text(line, style="dim") for line in state_lines(profile.before)),
    ]
    if shapes := shape_words(profile):
        lines.insert(2, Text(shapes, style="dim"))
    return Text("\n").join(lines)


def _percentile_table(profile: Profile) -> Table:
    """Of the latency: they are down the side, because an interval takes its room."""
    measured = profile.latency_ms
    caption = Text(f"n = {measured.distribution.n:,}")
    table = Table(title=Text("latency, ms"), header_style="bold", caption=caption, caption_justify="left")
    table.add_column("")
    for name in ("latency", "95 % interval"):
        table.add_column(name, justify="right")
    for one in percentiles_of(measured):
        table.add_row(Text(one.name), Text(one.words, style="" if one.value is not None else "dim"), Text(one.bounds))
    table.add_row(Text("mean"), Text(milliseconds(measured.mean)), Text(""))
    table.add_row(Text("max"), Text(milliseconds(measured.distribution.max)), Text(""))
    return table


def _stage_table(profile: Profile) -> Table:
    table = Table(title=Text("where the time goes, ms"), header_style="bold")
    table.add_column("stage")
    for name in ("n", "mean", *SHARES, "max"):
        table.add_column(name, justify="right")
    for name, taken in _in_order(profile):
        table.add_row(Text(shortened(stage_words(name), _NAME_LENGTH)), *_cells(taken))
    for name, age in profile.age_ms.items():
        table.add_row(Text(f"age of {shortened(stage_words(name), _NAME_LENGTH)}", style="dim"), *_cells(age))
    return table


def _in_order(profile: Profile) -> Iterator[tuple[str, Measured]]:
    known = [name for name in STAGES if name in profile.stages_ms]
    for name in (*known, *(name for name in profile.stages_ms if name not in STAGES)):
        yield name, profile.stages_ms[name]


def _cells(measured: Measured | Distribution) -> list[str]:
    distribution = distribution_of(measured)
    values = [milliseconds(one.value) for one in percentiles_of(measured)]
    return [
        f"{distribution.n:,}",
        milliseconds(getattr(measured, "mean", None)),
        *values,
        milliseconds(distribution.max),
    ]


def _layer_table(profile: Profile) -> Table:
    slowest = sorted(profile.layers, key=lambda layer: -layer.ms)[:TOP_LAYERS]
    total = sum(layer.ms for layer in profile.layers)
    title = f"slowest {len(slowest)} of {len(profile.layers)} layers"
    table = Table(title=Text(title), header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    for name in ("ms", "share", "MACs", "moved", "precision"):
        table.add_column(name, justify="right")
    for layer in slowest:
        table.add_row(
            Text(shortened(layer.name, _NAME_LENGTH)),
            Text(shortened(layer.kind, _NAME_LENGTH // 2)),
            milliseconds(layer.ms),
            f"{layer.ms / total:.1%}" if total else DASH,
            DASH if layer.macs is None else human_count(layer.macs),
            DASH if layer.bytes is None else human_bytes(layer.bytes),
            layer.precision or DASH,
        )
    return table


def _facts(profile: Profile) -> Text:
    facts = []
    if profile.throughput_hz is not None:
        facts.append(f"throughput {profile.throughput_hz:.4g} results/s")
    if profile.delivered_hz is not None:
        asked = "" if profile.asked_hz is None else f" of {profile.asked_hz:.4g} asked for"
        facts.append(f"source delivered {profile.delivered_hz:.4g} Hz{asked}")
    if profile.memory_peak_mib is not None:
        facts.append(f"memory peak {profile.memory_peak_mib:.0f} MiB")
    energy = profile.energy
    if energy is None:
        facts.append("no rails were read, so energy is not known")
    else:
        facts.append(f"{energy.millijoules:.3g} mJ a result ({printable(energy.total)}, {energy.readings} readings)")
    if profile.dropped:
        facts.append(
            "dropped: " + ", ".join(f"{shortened(why, _NAME_LENGTH)} {n:,}" for why, n in profile.dropped.items())
        )
    return Text("; ".join(facts))
