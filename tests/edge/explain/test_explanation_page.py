"""The page of a model of text and readings: coloured words, bars, and names that are shown as they are."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import torch

from edge.compress.samples import SampleSet
from edge.explain.asked_models import AskedModel
from edge.explain.config import ExplainConfig
from edge.explain.explaining import Progress, explain_model
from edge.explain.findings import read_explanation
from edge.explain.page import render_explanation, write_explanation
from edge.explain.sample_views import token_words
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO
from tests.edge.explain.test_gradients import IO, text_and_table
from tests.edge.html_page import Page

pytest.importorskip("captum")
pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.explain.explaining import Explained

WORDS = ["[PAD]", "<b>fever</b>", *(f"word{at}" for at in range(2, 19))]


@contextmanager
def doing(title: str) -> Iterator[None]:
    yield


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token=WORDS[2])
    path: Path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    tokenizers.Tokenizer(model).save(str(path))
    return path


@pytest.fixture(scope="module")
def explained(tokenizer: Path) -> tuple[Explained, SampleSet, ModelIO]:
    content = IO.model_dump(mode="json", by_alias=True)
    content["inputs"][0]["tokenizer"] = str(tokenizer)
    model_io = ModelIO.model_validate(content)
    model, data = text_and_table(fusion="modality_attention")
    data.inputs[0][:, 0] = 1
    path = tokenizer.parent
    asked = AskedModel("checkpoint", "<model>", path, "digest:0", model_io, model, "torch", network=model)
    config = ExplainConfig.model_validate({"gradients": {"samples": 4, "pictured": 2}, "resamples": 100})
    return explain_model(asked, data, "reports", config, Progress(lambda *_: lambda _: None, doing)), data, model_io


def test_words_are_coloured_and_fields_have_bars(explained: tuple[Explained, SampleSet, ModelIO]) -> None:
    text = render_explanation(*explained)
    page = Page(text)
    assert "<b>fever</b>" in page.text and "<b>fever</b>" not in text
    assert "&lt;model&gt;" in text
    spans = [span for span in page.all("span") if span.get("class") in ("for", "against")]
    assert len(spans) == 2 * 4  # two samples of four tokens; padding has no colour
    assert all(str(span["style"]).startswith("--v:0.") for span in spans)
    assert "What the fusion itself weighed" in page.text
    assert len(page.all("svg")) == 2 + 2  # contributions twice, and a table a sample
    assert not page.all("script") and 'src="http' not in text


def test_the_file_is_read_back_as_it_was(explained: tuple[Explained, SampleSet, ModelIO], tmp_path: Path) -> None:
    write_explanation(*explained, tmp_path)
    assert read_explanation(tmp_path / "explain.json") == explained[0].findings


def test_a_damaged_file_is_refused_by_its_key(explained: tuple[Explained, SampleSet, ModelIO], tmp_path: Path) -> None:
    path = tmp_path / "explain.json"
    path.write_text(explained[0].findings.model_dump_json(by_alias=True).replace('"tested"', '"guessed"'))
    with pytest.raises(ConfigError, match=r"explain\.json: failures\."):
        read_explanation(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_explanation(tmp_path / "none.json")


def test_tokens_without_a_tokenizer_are_shown_by_their_ids_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        words = token_words(tmp_path / "gone.json")
    assert words(7) == "7" and "gone.json is no file" in caplog.text


def test_data_that_holds_one_recording_is_explained_without_intervals(tokenizer: Path) -> None:
    model, data = text_and_table()
    one = type(data)(data.split, data.ids, ("all",) * 12, data.inputs, data.targets)
    asked = AskedModel("checkpoint", "m", tokenizer.parent, "digest:0", IO, model, "torch", network=model)
    config = ExplainConfig.model_validate({"gradients": {"samples": 0}, "resamples": 100})
    found = explain_model(asked, one, "reports", config, Progress(lambda *_: lambda _: None, doing)).findings
    assert found.contributions[0].modalities["labs"].interval is None
    assert any("all samples are of one recording" in note for note in found.notes)
    assert torch.isfinite(torch.tensor([q.value for q in found.states.values()])).all()


def test_a_model_of_a_street_is_explained_cell_by_cell(small_io: ModelIO, tmp_path: Path) -> None:
    """Camera, lidar and sound in, a grid and events out, nothing trained: everything runs and adds up."""
    narrow = {"embedding": 8, "hidden": [8, 8], "depths": [1, 1]}
    encoders = dict.fromkeys(small_io.modalities, narrow)
    torch.manual_seed(0)
    config = FusionModelConfig.model_validate({"encoders": encoders, "fusion": {"channels": 8}})
    network = FusionModel(config, small_io).eval()
    random = torch.Generator().manual_seed(0)
    shapes = ((3, 64, 208), (4, 64, 208), (1, 40, 96))
    inputs = tuple(torch.randn(6, *shape, generator=random) for shape in shapes)
    classes = torch.randint(0, 3, (6, 8, 26), generator=random)
    targets = (classes, torch.full((6, 8, 26), 15.0), torch.randint(0, 2, (6, 2), generator=random).float())
    names = tuple(f"street{at}" for at in range(6))
    data = SampleSet("test", names, names, inputs, targets)
    asked = AskedModel("checkpoint", "street", tmp_path, "digest:0", small_io, network, "torch", network=network)
    wanted = ExplainConfig.model_validate({"gradients": {"samples": 1, "pictured": 1}, "resamples": 100})
    found = explain_model(asked, data, "street", wanted, Progress(lambda *_: lambda _: None, doing))
    score = found.findings.contributions[0]
    gain = score.complete.value - score.blind
    assert sum(q.value for q in score.modalities.values()) == pytest.approx(gain, abs=1e-9)
    assert len(score.pairs) == 3 and found.shown[0].off < 0.05
    page = Page(render_explanation(found, data, small_io))
    assert len(page.all("img")) >= 3
