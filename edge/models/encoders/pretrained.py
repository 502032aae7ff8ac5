"""Weights from a local folder in Hugging Face's layout (`config.json`, `model.safetensors`); no pickle, no network."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from edge.runtime.errors import ConfigError, ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn

SETTINGS_FILE = "config.json"
WEIGHTS_FILE, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth")


class PretrainedOrigin(BaseModel):
    """Where an encoder's first weights came from, for the record.

    Attributes:
        folder: As the project names it.
        sha256: Of all its weights' files together, in the order of their names.
        left_out: Tensors of the folder that the encoder has no use for: poolers and heads.
        changed: What was done to the others, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    sha256: str
    left_out: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PretrainedWeights:
    """What `read_weights` gives.

    Attributes:
        tensors: float32, by the names that the encoder's model uses.
        origin: For the record.
    """

    tensors: dict[str, Tensor]
    origin: PretrainedOrigin


def read_settings(folder: Path, model_types: Sequence[str]) -> Any:
    """`config.json` of a folder as transformers' settings object.

    Raises:
        ConfigError: There is no such folder.
        ModelError: It has no readable `config.json`, or is of another architecture.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise ConfigError(
            f"pretrained: {folder} {'has no ' + SETTINGS_FILE if folder.is_dir() else 'does not exist'}",
            "name a local folder in Hugging Face's layout, e.g. from: hf download OWNER/MODEL --local-dir FOLDER",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.get("model_type") if isinstance(content, dict) else None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({first_line(error)})", "download the folder again") from error
    if found not in model_types:
        raise ModelError(
            f"{path} describes an architecture '{found}', the encoder takes {' or '.join(model_types)}",
            "name another folder, or another kind of encoder",
        )
    return _settings(folder, path)


def read_weights(folder: Path, model_class: Any, settings: Any, **options: Any) -> PretrainedWeights:
    """Reads safetensors into the architecture that `settings` describe.

    transformers renames the tensors of older releases, and those under the prefix of a task's model.

    Args:
        folder: With `model.safetensors`, or several files and their index.
        model_class: Of transformers, e.g. `ViTModel`.
        settings: From `read_settings`.
        **options: For its constructor.

    Raises:
        ModelError: There are no safetensors, or a tensor is missing, superfluous or of another shape; the message
            names it.
    """
    _refuse_pickle(folder)
    with _muted():
        try:
            model, report = model_class.from_pretrained(
                str(folder),
                config=settings,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # reported below, by name
                output_loading_info=True,
                **options,
            )
        except Exception as error:  # transformers and safetensors raise a dozen kinds, all of them the folder's
            raise ModelError(f"{folder} cannot be loaded ({first_line(error)})", "download it again") from error
    _refuse_differences(folder, report)
    left_out = _unused(folder, model, report)
    tensors = {name: tensor.detach().float() for name, tensor in model.state_dict().items()}
    origin = PretrainedOrigin(folder=str(folder), sha256=weights_digest(folder), left_out=left_out)
    return PretrainedWeights(tensors, origin)


def origins_of(model: nn.Module) -> dict[str, PretrainedOrigin]:
    """Where a fusion model's encoders have their first weights from, by stream; random ones are left out."""
    branches = getattr(model, "branches", {})
    found = {stream: getattr(branch.encoder, "origin", None) for stream, branch in branches.items()}
    return {stream: origin for stream, origin in found.items() if isinstance(origin, PretrainedOrigin)}


def weights_digest(folder: Path) -> str:
    """SHA-256 of all weights' files of a folder together, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _settings(folder: Path, path: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as above
        raise ModelError(f"{path} cannot be read ({first_line(error)})", "download the folder again") from error


def _refuse_pickle(folder: Path) -> None:
    if (folder / WEIGHTS_FILE).is_file() or (folder / WEIGHTS_INDEX).is_file():
        return
    pickled = [name for name in PICKLED if (folder / name).is_file()]
    if pickled:
        raise ModelError(
            f"{folder} has its weights in {pickled[0]}, which is pickled: reading it could run any code",
            "take a revision of the model with model.safetensors, or convert it where it can be trusted with: "
            "model.save_pretrained(FOLDER)",
        )
    raise ModelError(f"{folder} has no {WEIGHTS_FILE}", "download the folder again")


def _refuse_differences(folder: Path, report: dict[str, Any]) -> None:
    missing, mismatched = sorted(report["missing_keys"]), sorted(report["mismatched_keys"])
    if mismatched:
        name, found, wanted = mismatched[0]
        raise ModelError(
            f"{folder} does not fit its own {SETTINGS_FILE}: '{name}' is {list(found)}, not {list(wanted)}",
            "download the folder again",
        )
    if missing:
        raise ModelError(
            f"{folder} has no weights for {_listed(missing)}",
            "name a folder whose weights are of the architecture that its config.json says",
        )


def _unused(folder: Path, model: nn.Module, report: dict[str, Any]) -> tuple[str, ...]:
    """What the encoder leaves out; a part of its own trunk among it means another architecture."""
    unused = sorted(report["unexpected_keys"])
    trunk = tuple(f"{name}." for name, _ in model.named_children())
    base = f"{getattr(model, 'base_model_prefix', '')}."
    own = [name for name in unused if name.removeprefix(base).startswith(trunk)]
    if own:
        raise ModelError(
            f"{folder} has weights that its {SETTINGS_FILE} knows nothing of: {_listed(own)}",
            "name a folder whose weights are of the architecture that its config.json says",
        )
    return tuple(unused)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"'{name}'" for name in names[:3]) + more


@contextmanager
def _muted() -> Iterator[None]:
    """Keeps transformers quiet: it prints a report and progress bars; what matters of it is raised here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def start_from(net: nn.Module, weights: PretrainedWeights | None) -> PretrainedOrigin | None:
    """Gives a network the weights that were read for it, if any were.

    Returns:
        Where they came from; None where the network keeps those that it was built with.
    """
    if weights is None:
        return None
    net.load_state_dict(weights.tensors)
    return weights.origin
