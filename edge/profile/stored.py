"""A profile as a folder: written whole, and read again with one line on what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.profile.contents import Profile
from edge.runtime.atomic import atomic_file
from edge.runtime.capabilities import has_module
from edge.runtime.errors import ConfigError
from edge.runtime.manifest import printable

if TYPE_CHECKING:
    from pathlib import Path

    from edge.devices.profile import DeviceProfile

PROFILE_NAME, PAGE_NAME, TRACE_NAME = "profile.json", "profile.html", "trace.json"
SCHEMA = 1
LIMIT_BYTES = 64 << 20


def write_profile(profile: Profile, out: Path, device: DeviceProfile | None = None) -> tuple[str, ...]:
    """Writes `profile.json`, `trace.json`, CSV files and, where jinja2 and matplotlib are installed, `profile.html`.

    Args:
        profile: What was found.
        out: The folder; files of the same names are replaced, others left.
        device: Whose peaks the page draws.

    Returns:
        What was not written, and why.

    Raises:
        ConfigError: `out` is a file.
    """
    from edge.profile.views.chrome_trace import write_trace
    from edge.profile.views.csv_rows import write_csv

    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file", "choose a folder for --out")
    with atomic_file(out / PROFILE_NAME) as draft:
        draft.write_text(json.dumps(profile.to_json(), indent=1) + "\n", encoding="utf-8")
    write_trace(profile, out / TRACE_NAME)
    write_csv(profile, out)
    lacking = [name for name in ("jinja2", "matplotlib") if not has_module(name)]
    if lacking:
        return (f"No {PAGE_NAME}, for {' and '.join(lacking)} is not installed.",)
    from edge.profile.views.page import write_page

    write_page(profile, out / PAGE_NAME, device)
    return ()


def read_profile(path: Path) -> Profile:
    """Reads a `profile.json`, or that of a folder.

    Raises:
        ConfigError: It is missing, no profile, or of another schema.
    """
    path = path / PROFILE_NAME if path.is_dir() else path
    again = "write it again with `edge profile --out DIR`"
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ConfigError(f"{path} is larger than {LIMIT_BYTES >> 20} MiB", again)
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror})", "pass what `edge profile --out` wrote") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON", again) from error
    if not isinstance(content, dict) or "latency_ms" not in content or "schema" not in content:
        raise ConfigError(f"{path} is no profile", "pass the profile.json that `edge profile --out` wrote")
    if content["schema"] != SCHEMA:
        schema = printable(repr(content["schema"])[:20])
        raise ConfigError(f"{path} is a profile of schema {schema}, this edge reads {SCHEMA}", again)
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = printable(".".join(str(part) for part in first["loc"])[:80])
        raise ConfigError(f"{path}: {where}: {first['msg']}", again) from error
