"""A profile as one self-contained HTML page: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.profile.contents import STAGES
from edge.profile.views.latency_curve import draw_curve
from edge.profile.views.layer_bars import SHOWN, draw_layers
from edge.profile.views.roofline_plot import NUMBERED, ceilings_of, draw_roofline, points_of
from edge.profile.views.span_timeline import draw_timeline
from edge.profile.views.stage_waterfall import draw_waterfall
from edge.profile.views.state_rows import compared_states
from edge.profile.views.wording import (
    SHARES,
    percentiles_of,
    scenario_words,
    shape_words,
    shortened,
    stage_words,
)
from edge.report.page_templates import page_environment, shared_css, trusted_markup
from edge.report.table import human_bytes, human_count
from edge.runtime.atomic import atomic_file
from edge.runtime.manifest import printable
from edge.runtime.statistics import minimum_samples

if TYPE_CHECKING:
    from edge.devices.profile import DeviceProfile
    from edge.profile.contents import LayerTime, Measured, Profile
    from edge.runtime.statistics import Distribution

_TEMPLATES = Path(__file__).parent / "templates"
_LINE_LENGTH = 120
LISTED = 400  # layers in the table; profile.json has all


def write_page(profile: Profile, path: Path, device: DeviceProfile | None = None) -> None:
    """Writes the page.

    Args:
        profile: What was found.
        path: The HTML file; it is replaced when the page is whole.
        device: Whose published peaks are drawn as ceilings over the layers; None draws none, and so does a host.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is absent.
    """
    page = render_profile(profile, device)
    with atomic_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def render_profile(profile: Profile, device: DeviceProfile | None = None) -> str:
    """The page's text; equal profiles give equal pages.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is absent.
    """
    environment = page_environment(
        _TEMPLATES,
        count=human_count,
        size=human_bytes,
        printable=printable,
        short=_short_line,
        percentiles=percentiles_of,
        stage=stage_words,
    )
    text: str = environment.get_template("profile.html.j2").render(**_view(profile, device))
    return text


def _view(profile: Profile, device: DeviceProfile | None) -> dict[str, Any]:
    timeline = draw_timeline(profile.spans)
    slowest = sorted(profile.layers, key=lambda layer: -layer.ms)
    points = points_of(profile.layers)
    ceilings = ceilings_of(device)
    return {
        "profile": profile,
        "host": profile.environment,
        "css": shared_css(),
        "scenario": scenario_words(profile),
        "shapes": shape_words(profile),
        "names": tuple(SHARES),
        "stages": _stages(profile),
        "curve_svg": trusted_markup(draw_curve(profile.latency_ms)),
        "waterfall_svg": trusted_markup(draw_waterfall(profile.stages_ms)),
        "timeline_svg": trusted_markup(timeline.figure),
        "spans_left_out": timeline.left_out,
        "layers": slowest[:LISTED],
        "layers_ms": sum(layer.ms for layer in slowest),
        "bars": min(SHOWN, len(slowest)),
        "layers_svg": trusted_markup(draw_layers(profile.layers)),
        "points": len(points),
        "roofline_svg": trusted_markup(draw_roofline(points, ceilings, _ranks(slowest, [p.layer for p in points]))),
        "ceiling_words": _ceiling_words(profile, device),
        "state_rows": compared_states(profile.before, profile.after),
        "notes": [*profile.notes, *_standing_notes(profile)],
    }


def _stages(profile: Profile) -> list[tuple[str, Measured | Distribution]]:
    order = [name for name in STAGES if name in profile.stages_ms]
    order += [name for name in profile.stages_ms if name not in STAGES]
    return [(name, profile.stages_ms[name]) for name in order]


def _ranks(slowest: list[LayerTime], drawn: list[LayerTime]) -> list[str]:
    """By identity: layers may have the same name."""
    numbers = {id(layer): str(rank) for rank, layer in enumerate(slowest[:NUMBERED], start=1)}
    return [numbers.get(id(layer), "") for layer in drawn]


def _short_line(text: str) -> str:
    return shortened(text, _LINE_LENGTH)


def _ceiling_words(profile: Profile, device: DeviceProfile | None) -> str:
    if device is None:
        return "No ceilings are drawn: this machine is none whose peak rates are published."
    if ceilings_of(device) is None:
        return f"No ceilings are drawn: nobody published peak rates of this machine, {device.title} stands for many."
    words = f"Ceilings are the published dense peaks of {device.title} in the mode {device.power_mode}"
    mode = profile.before.power_mode
    if mode is None:
        return f"{words}; in which mode it ran is not known."
    return (
        f"{words}."
        if device.power_mode in mode.split()
        else f"{words}; it ran in {printable(mode)}, where they are others."
    )


def _standing_notes(profile: Profile) -> list[str]:
    """What a reader must know about these figures, whatever was timed."""
    notes = [
        "A percentile that the sample cannot support at 95 % is left out: p99 needs "
        f"{minimum_samples(0.99):,} samples, p99.9 needs {minimum_samples(0.999):,}. Intervals are of order "
        "statistics, at least 95 %, without assuming any distribution; where durations resemble those before them, "
        "of as many samples as they are worth."
    ]
    if profile.environment.board is None:
        notes.append(
            f"All times are of this machine ({printable(profile.environment.cpu)}, {profile.environment.machine}). "
            "They are no figures of a Jetson or any other board, neither absolutely nor as ratios."
        )
    return notes
