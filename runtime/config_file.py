"""YAML files that people write: read and validated, with errors that name the file, the key and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

M = TypeVar("M", bound=BaseModel)


def read_yaml(path: Path, error: type[ConfigError] = ConfigError) -> object:
    """What a YAML file holds.

    Raises:
        ConfigError: Or `error`: the file cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise error(f"cannot read {path} ({cause.strerror})", "pass the path of an existing file") from cause
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise error(f"{path} is not YAML ({str(cause).splitlines()[0]})", "mend the file") from cause


def validated(model: type[M], content: object, path: Path, error: type[ConfigError] = ConfigError) -> M:
    """`content` of the file `path` as a `model`.

    Raises:
        ConfigError: Or `error`: a key is unknown, missing or wrong; the message names it.
    """
    try:
        return model.model_validate(content)
    except ValidationError as cause:
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or model.__name__.lower()
        raise error(f"{path}: {where}: {first['msg']}", "mend that key") from cause
