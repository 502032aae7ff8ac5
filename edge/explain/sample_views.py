"""The samples that a page shows: pictures, bars and coloured words of what their answers rest on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.explain.attribution_pictures import field_bars, is_drawn, overlay_png
from edge.report.page_templates import trusted_markup
from edge.report.picture import data_uri
from edge.runtime.capabilities import has_module, require_module
from edge.runtime.model_io import PresentInput, TokensInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.explain.attribution_summary import AttributedSample
    from edge.explain.gradients import SampleAttribution
    from edge.runtime.model_io import ModelIO, SensorInput

    TokenWords = Callable[[int], str]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ColouredWord:
    """A token.

    Attributes:
        text: As the tokenizer spells it.
        part: What it adds to the answer, in logits.
        strength: Share of the largest part in its text, -1..1.
    """

    text: str
    part: float
    strength: float


@dataclass(frozen=True)
class ShownModality:
    """One modality of a sample; what it is not is None.

    Attributes:
        name: Of the stream.
        part: What it adds to the answer, in logits.
        picture: Address of a picture.
        bars: SVG of a table's or series' fields.
        words: Of a text.
    """

    name: str
    part: float
    picture: str | None = None
    bars: Any = None
    words: tuple[ColouredWord, ...] = ()


@dataclass(frozen=True)
class ShownSample:
    """A sample and its modalities."""

    found: AttributedSample
    modalities: tuple[ShownModality, ...]


def shown_samples(
    found: Sequence[AttributedSample], shown: Sequence[SampleAttribution], data: SampleSet, model_io: ModelIO
) -> list[ShownSample]:
    """Draws them.

    Args:
        found: As the report holds them.
        shown: Their attributions, in the same order.
        data: The split.
        model_io: Says what each input is.

    Raises:
        MissingDependencyError: matplotlib is absent.
    """
    items = [i for i in model_io.inputs if not isinstance(i, PresentInput)]
    words = {item.stream: token_words(item.tokenizer) for item in items if isinstance(item, TokensInput)}
    return [
        ShownSample(
            sample,
            tuple(
                _modality(item, data.inputs[at][attribution.row], attribution.parts[at], sample, words)
                for at, item in enumerate(items)
            ),
        )
        for sample, attribution in zip(found, shown, strict=True)
    ]


def token_words(tokenizer: str | Path) -> TokenWords:
    """What each token id stands for; the id itself, with the reason logged, where the tokenizer cannot be read.

    Args:
        tokenizer: Path of a `tokenizer.json`.
    """
    from pathlib import Path

    if not has_module("tokenizers") or not Path(tokenizer).is_file():
        why = "is no file" if has_module("tokenizers") else "needs the package tokenizers"
        logger.warning("tokens are shown by their ids: %s %s", tokenizer, why)
        return str
    opened = require_module("tokenizers").Tokenizer.from_file(str(tokenizer))
    return lambda token: opened.id_to_token(token) or str(token)


def _modality(
    item: SensorInput, x: Tensor, part: Tensor, sample: AttributedSample, words: dict[str, TokenWords]
) -> ShownModality:
    name = item.stream
    whole = sample.modalities[name]
    if is_drawn(item):
        return ShownModality(name, whole, picture=data_uri(overlay_png(item, x, part)))  # type: ignore[arg-type]
    if isinstance(item, TokensInput):
        return ShownModality(name, whole, words=_coloured(x, part, words[name]))
    bars = field_bars(sample.fields[name], f"{sample.id} {name}")
    return ShownModality(name, whole, bars=trusted_markup(bars))


def _coloured(tokens: Tensor, part: Tensor, words: TokenWords) -> tuple[ColouredWord, ...]:
    most = max(float(part.abs().max()), 1e-12)
    return tuple(
        ColouredWord(words(int(token)), float(value), float(value) / most)
        for token, value in zip(tokens, part, strict=True)
        if int(token) != 0
    )
