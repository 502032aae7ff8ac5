"""How encoders are pretrained: what is hidden of each modality, what is aligned, and for how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.fitting import FitConfig
from edge.training.alignment import AlignmentConfig

Share = Annotated[float, Field(gt=0, lt=1)]


class PatchMaskConfig(BaseModel):
    """Rectangles of a picture, a lidar view or a log-mel spectrogram are hidden (SimMIM, Xie et al. 2022).

    Attributes:
        share: Of the patches.
        patch: Height and width of one in cells; about an eighth of each side by default.
        weight: Of this modality's loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["patches"] = "patches"
    share: Share = 0.5
    patch: tuple[int, int] | None = None
    weight: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _patches_have_a_size(self) -> PatchMaskConfig:
        if self.patch is not None and min(self.patch) < 1:
            raise ValueError(f"patch is {self.patch}; give cells of at least 1")
        return self


class FieldMaskConfig(BaseModel):
    """Readings of a table are hidden one by one, those of a series in stretches of each field.

    Attributes:
        share: Of the readings.
        steps: Longest stretch of a series; a table has one step.
        weight: Of this modality's loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["fields"] = "fields"
    share: Share = 0.3
    steps: int = Field(8, ge=1)
    weight: float = Field(1.0, gt=0)


class TokenMaskConfig(BaseModel):
    """Tokens are hidden behind a mask token and guessed (BERT, Devlin et al. 2019).

    Of the chosen ones 80 % are masked, 10 % replaced by a random token and 10 % left, as there.

    Attributes:
        share: Of the tokens that are no padding.
        mask_id: The mask token; looked up in the stream's tokenizer by default (`[MASK]` or `<mask>`).
        kept_ids: Never chosen: `[CLS]`, `[SEP]`.
        weight: Of this modality's loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["tokens"] = "tokens"
    share: Share = 0.15
    mask_id: int | None = Field(None, ge=1)
    kept_ids: tuple[int, ...] = ()
    weight: float = Field(1.0, gt=0)


MaskConfig = Annotated[PatchMaskConfig | FieldMaskConfig | TokenMaskConfig, Field(discriminator="kind")]


class PretrainConfig(BaseModel):
    """Pretraining of the encoders on samples without their labels.

    Attributes:
        fit: How long and how fast; modality dropout hides modalities from both losses.
        masks: How each stream's input is hidden, where the default of its kind does not do.
        reconstruction: Weight of guessing what was hidden, beside alignment's; 0 leaves it out.
        alignment: How modalities are aligned; absent where they are not.
        augment: Vary the samples as the project's `augment` says.
        student: Pretrain encoders of the student's widths as well; it starts from random ones otherwise.

    Raises:
        ValueError: There is neither reconstruction nor alignment, or `fit` asks for what needs labels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fit: FitConfig = FitConfig(epochs=10, batch_size=128, modality_dropout=0.0)
    masks: dict[str, MaskConfig] = {}
    reconstruction: float = Field(1.0, ge=0)
    alignment: AlignmentConfig | None = AlignmentConfig()
    augment: bool = True
    student: bool = False

    @model_validator(mode="after")
    def _something_is_learned(self) -> PretrainConfig:
        if self.reconstruction == 0 and self.alignment is None:
            raise ValueError("reconstruction is 0 and there is no alignment: nothing would be learned")
        return self

    @model_validator(mode="after")
    def _no_labels_are_asked_for(self) -> PretrainConfig:
        balanced = self.fit.class_weights != "none" or self.fit.sampling != "uniform"
        if balanced or self.fit.early_stopping is not None:
            raise ValueError("pretrain.fit has no labels: leave out early_stopping, class_weights and sampling")
        return self
