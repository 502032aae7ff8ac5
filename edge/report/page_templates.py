"""How pages are made of templates: one self-contained HTML file each, in the same style and with the same words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPLATES = Path(__file__).parent / "templates"
DASH = "\N{EN DASH}"


def page_environment(*folders: Path, **filters: Callable[..., Any]) -> Any:
    """A jinja2 Environment that escapes everything and refuses names that are not given.

    Args:
        folders: Searched for templates before those of the reports.
        filters: By name; `words` and `ms` are there already.

    Raises:
        MissingDependencyError: jinja2 is absent.
    """
    jinja2 = require_module("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words=spaced_words, ms=milliseconds, **filters)
    return environment


def trusted_markup(text: str) -> Any:
    """What we drew or wrote ourselves, for a template to take as it is."""
    return require_module("jinja2").utils.markupsafe.Markup(text)


def shared_css() -> Any:
    """The style of every page, light and dark."""
    return trusted_markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))


def spaced_words(name: str) -> str:
    """A name of ours as people write it."""
    return name.replace("_", " ").replace("+", " + ")


def milliseconds(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    if value is None:
        return DASH
    return f"{value:#.3g}".rstrip(".") if value < 100 else f"{value:,.0f}"
