"""Text as token ids, by the `tokenizer.json` that the model was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.runtime.capabilities import require_module
from edge.runtime.errors import ConfigError, SampleError, TextTooLongError, first_line
from edge.runtime.manifest import LIMIT_TOKENIZER_BYTES
from edge.runtime.model_io import TokensInput
from edge.runtime.preprocess.payload_kinds import expect_payload
from edge.runtime.sample import Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.runtime.model_io import ModelIO
    from edge.runtime.sample import Payload

PADDING = 0
# What trainers call it, where the file declares no padding of its own.
_PADDING_NAMES = ("[PAD]", "<pad>", "<PAD>")
_SAVE_AGAIN = "save it with `Tokenizer.save` of the package tokenizers, or take the model's own tokenizer.json"


class TokensFeature:
    """A text's token ids, int64 `[length]`, with whatever the tokenizer puts around a text. Re-entrant.

    Args:
        item: Length, vocabulary, and what becomes of a text that is too long.
        content: Bytes of the tokenizer's file.

    Raises:
        ConfigError: They are no tokenizer, its padding id is not 0, or its ids do not fit `item`.
        MissingDependencyError: The extra `text` is not installed.
    """

    def __init__(self, item: TokensInput, content: bytes) -> None:
        self._item = item
        self._tokenizer = _parsed(item.tokenizer, content)
        _check_fits(item, self._tokenizer)
        # A file may hold settings of its own; those of io.yaml are what the model was trained with.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if item.too_long == "cut":
            self._tokenizer.enable_truncation(item.length)

    def write(self, payload: Payload, out: NDArray[np.int64]) -> None:
        """Fills `out` with the ids, and its rest with zeros.

        Raises:
            TextTooLongError: There are more tokens than the model takes, and `too_long` is `refuse`.
            SampleError: The payload is no text, or the tokenizer finds nothing in it.
        """
        ids = self._ids(expect_payload(payload, Text).text)
        if len(ids) > self._item.length:
            raise TextTooLongError(
                f"the text has {len(ids)} tokens, but the model takes {self._item.length}",
                "shorten it, or train a model with too_long: cut or a longer shape in io.yaml",
            )
        if not any(ids):
            raise SampleError("the text holds nothing that the tokenizer knows", "leave it out, or mend the source")
        out[: len(ids)] = ids
        out[len(ids) :] = PADDING

    def _ids(self, text: str) -> list[int]:
        try:
            return list(self._tokenizer.encode(text).ids)
        except Exception as error:  # its errors have no type of their own; lone surrogates raise UnicodeError
            raise SampleError(f"the text cannot be tokenized ({first_line(error)})", "mend the source") from error


def read_tokenizers(model_io: ModelIO) -> dict[str, bytes]:
    """The tokenizer files that `model_io` names, by that name: what a `Preprocessor` outside of a bundle needs.

    Raises:
        ConfigError: One is missing or larger than a bundle may hold.
    """
    return {item.tokenizer: _read(item.tokenizer) for item in model_io.inputs if isinstance(item, TokensInput)}


def _read(name: str) -> bytes:
    try:
        with Path(name).open("rb") as stream:
            content = stream.read(LIMIT_TOKENIZER_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the tokenizer {name} cannot be read ({error.strerror})", "mend `tokenizer` of the input in io"
        ) from error
    if len(content) > LIMIT_TOKENIZER_BYTES:
        raise ConfigError(f"the tokenizer {name} has more than {LIMIT_TOKENIZER_BYTES} bytes", "use a smaller one")
    return content


def _parsed(name: str, content: bytes) -> Any:
    module = require_module("tokenizers")
    try:
        return module.Tokenizer.from_buffer(content)
    except Exception as error:  # it raises bare exceptions of whatever its parser stumbled over
        raise ConfigError(f"{name} is no tokenizer ({first_line(error)})", _SAVE_AGAIN) from error


def _check_fits(item: TokensInput, tokenizer: Any) -> None:
    vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    if not vocabulary:
        raise ConfigError(f"the tokenizer {item.tokenizer} knows no token", _SAVE_AGAIN)
    padding = _padding_id(tokenizer, vocabulary)
    if padding != PADDING:
        has = "no padding token" if padding is None else f"the padding id {padding}"
        raise ConfigError(
            f"the tokenizer {item.tokenizer} has {has}, but models here take {PADDING} for padding",
            "train it with the padding token, e.g. [PAD], first",
        )
    largest = max(vocabulary.values())
    if largest >= item.vocabulary:
        raise ConfigError(
            f"the tokenizer {item.tokenizer} has ids up to {largest}, but input '{item.tensor}' has a vocabulary of "
            f"{item.vocabulary}",
            f"set vocabulary: {largest + 1} and train the model so, or take its own tokenizer.json",
        )
    around = int(tokenizer.num_special_tokens_to_add(False))
    if around >= item.length:
        raise ConfigError(
            f"input '{item.tensor}' takes {item.length} tokens, of which the tokenizer's own take {around}",
            "give it a longer shape",
        )


def _padding_id(tokenizer: Any, vocabulary: dict[str, int]) -> int | None:
    declared = tokenizer.padding
    if declared is not None:
        return int(declared["pad_id"])
    return next((vocabulary[name] for name in _PADDING_NAMES if name in vocabulary), None)
