"""`save_pretrained`, `from_pretrained` and `push_to_hub` of the fusion model. No pickle; of a folder no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from pydantic import BaseModel, ValidationError

from edge.models.hub_card import model_card
from edge.models.hub_document import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, ModelDocument
from edge.models.saved_weights import first_difference, load_weights, save_weights
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.models.hub_document import ModelProvenance
    from edge.runtime.model_io import ModelIO

Model = TypeVar("Model", bound="HubModel")


class HubModel(ModelHubMixin):  # type: ignore[misc]  # huggingface_hub is untyped to mypy here
    """What a model class inherits beside `nn.Module` to be saved and loaded as a folder, or on the Hub.

    The folder holds `config.json` (`ModelDocument`), `model.safetensors` and the model card `README.md`.

    Attributes:
        config_type: What `config` is validated by; set by the class.
        model_io: Tensors in and out.
        provenance: Goes into the config and the card; None where nobody knows.
    """

    config_type: ClassVar[type[BaseModel]]
    model_io: ModelIO
    provenance: ModelProvenance | None = None

    @property
    def architecture(self) -> BaseModel:
        """A config from which the model is built again without any file."""
        raise NotImplementedError

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Writes the model's folder; what else lies in it stays.

        Args:
            save_directory: Made where it is missing.
            **options: `push_to_hub`, `repo_id` and what `push_to_hub` takes.

        Returns:
            The commit's address where it was pushed.

        Raises:
            ModelError: The model is no longer what its config says: it was pruned.
        """
        address: str | None = super().save_pretrained(save_directory, **options)
        return address

    @classmethod
    def from_pretrained(cls: type[Model], pretrained_model_name_or_path: str | Path, **options: Any) -> Model:
        """Loads a model from a folder of `save_pretrained` or `edge train`, or from the Hub; in eval mode.

        Unlike the mixin's own, it reads no config that was not validated, and asks no network for a folder.

        Args:
            pretrained_model_name_or_path: A folder, or `OWNER/NAME` on the Hub.
            **options: `revision`, `cache_dir`, `token`, `force_download` and `local_files_only`, for the Hub.

        Raises:
            ModelError: There is no such model, a file of it is malformed, or its weights are of another architecture
                than its config.
        """
        place = pretrained_model_name_or_path
        document = read_document(_find(place, CONFIG_FILE, options))
        model = cls(cls._config_of(document, place), document.io)
        load_weights(model, _find(place, WEIGHTS_FILE, options))
        model.provenance = document.provenance
        return model

    @classmethod
    def _config_of(cls, document: ModelDocument, place: str | Path) -> BaseModel:
        """The config, which names no files: a downloaded one may not make this machine read any."""
        try:
            config = cls.config_type.model_validate(document.model)
        except ValidationError as error:
            raise ModelError(*_malformed(f"{place}: {CONFIG_FILE}", error)) from error
        for stream, encoder in document.model.get("encoders", {}).items():
            if encoder.get("pretrained") is not None:
                raise ModelError(
                    f"{place}: {CONFIG_FILE} wants the encoder of '{stream}' read from {encoder['pretrained']!r}",
                    "save the model with save_pretrained, which writes widths and no folders",
                )
        return config

    def _save_pretrained(self, save_directory: Path) -> None:
        document = self.document()
        self._refuse_changed_shapes()
        save_weights(self, save_directory / WEIGHTS_FILE)
        with atomic_file(save_directory / CARD_FILE) as partial:
            partial.write_text(model_card(document), encoding="utf-8")
        with atomic_file(save_directory / CONFIG_FILE) as partial:  # last: a folder with a config is complete
            partial.write_text(document.model_dump_json(by_alias=True, indent=1), encoding="utf-8")

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Uploads what `save_pretrained` writes, with the options of the mixin; returns the address of the commit."""
        address: str = super().push_to_hub(repo_id, **options)
        return address

    def document(self) -> ModelDocument:
        """What `config.json` says."""
        config = self.architecture.model_dump(mode="json")
        return ModelDocument(schema=1, model=config, io=self.model_io, provenance=self.provenance)

    def generate_model_card(self, *_: Any, **__: Any) -> ModelCard:
        """The card of `README.md`, for the Hub."""
        return ModelCard(model_card(self.document()))

    def _refuse_changed_shapes(self) -> None:
        """A pruned model is no longer what its config says, and would not load again."""
        with torch.random.fork_rng(devices=[]):
            fresh = type(self)(self.architecture, self.model_io)
        difference = first_difference(fresh.state_dict(), self.state_dict())
        if difference is not None:
            name, wanted, there = difference
            raise ModelError(
                f"'{name}' is {there} and not {wanted} as the model's config says: it was pruned or changed",
                "save the model before it is compressed; what comes after belongs in a bundle",
            )


def _find(place: str | Path, name: str, options: Mapping[str, Any]) -> Path:
    """A file of a model: in its folder, or fetched from the Hub into its cache."""
    if Path(place).is_dir():
        return Path(place) / name
    if isinstance(place, Path):
        raise ModelError(f"{place} is no folder", "name a folder of save_pretrained or edge train")
    try:
        return Path(hf_hub_download(place, name, **options))
    except (OSError, ValueError) as error:  # the Hub's own errors, and what is no name of a model
        raise ModelError(
            f"'{place}' is no folder, and the Hub gives no {name} of that name ({first_line(error)})",
            "name a folder of save_pretrained, or OWNER/NAME of a model on the Hub that can be reached",
        ) from error


def read_document(path: Path) -> ModelDocument:
    """Reads and checks a `config.json`.

    Raises:
        ModelError: It is missing, malformed, or of another library's model.
    """
    try:
        return ModelDocument.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({first_line(error)})", "save or download the model again") from error
    except ValidationError as error:
        raise ModelError(*_malformed(str(path), error)) from error


def _malformed(where: str, error: ValidationError) -> tuple[str, str]:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    return (
        f"{where} is no config of a fusion model: {key}: {first['msg']}",
        "name a folder of save_pretrained or edge train; encoders of other libraries go to `pretrained:`",
    )
