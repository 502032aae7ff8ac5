"""The model card of a saved fusion model: its `config.json` for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from edge.runtime.model_io import PresentInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.models.hub_document import ModelDocument, ModelProvenance

TAGS = ("multimodal", "sensor-fusion", "edge-fusion")
UNKNOWN = "not recorded"


def model_card(document: ModelDocument) -> str:
    """Markdown with the metadata block that the Hub reads."""
    header = {"library_name": document.library_name, "license": "other", "tags": list(TAGS)}
    made = document.provenance
    sections = [
        f"---\n{yaml.safe_dump(header, sort_keys=True)}---",
        f"# {made.project if made else 'Fusion model'}",
        "A multimodal fusion model for `edge-fusion`. Modalities may be missing: give `present` a 0 for those.",
        f"## Inputs and outputs\n\n{_io_table(document)}",
        _parts(document),
        *(_provenance(made) if made else [f"## Training\n\n{UNKNOWN.capitalize()}."]),
        "## Use\n\n```python\nfrom edge.models.fusion_model import FusionModel\n\n"
        'model = FusionModel.from_pretrained("FOLDER or OWNER/NAME")\n```',
    ]
    return "\n\n".join(sections) + "\n"


def _io_table(document: ModelDocument) -> str:
    rows = [(item.tensor, item.feature, _shape(getattr(item, "shape", None))) for item in document.io.inputs]
    streams = next((item.streams for item in document.io.inputs if isinstance(item, PresentInput)), ())
    told = f"\n\n`present` lists {', '.join(streams)}." if streams else ""
    outputs = [(item.tensor, item.decoder, ", ".join(getattr(item, "classes", ()))) for item in document.io.outputs]
    return table(("input", "feature", "shape"), rows) + told + "\n\n" + table(("output", "decoder", "classes"), outputs)


def _shape(shape: Sequence[int] | None) -> str:
    return "" if shape is None else " x ".join(map(str, shape))


def _parts(document: ModelDocument) -> str:
    encoders = document.model.get("encoders", {})
    rows = [(stream, str(config.get("kind", ""))) for stream, config in encoders.items()]
    fusion = document.model.get("fusion", {})
    return f"## Parts\n\n{table(('stream', 'encoder'), rows)}\n\nFusion: {fusion.get('kind', UNKNOWN)}."


def _provenance(made: ModelProvenance) -> list[str]:
    samples = ", ".join(f"{name} {count}" for name, count in made.samples.items()) or UNKNOWN
    origins = [
        f"- `{stream}` started from `{origin.folder}` (sha256 `{origin.sha256[:16]}...`)"
        + "".join(f"; {change}" for change in origin.changed)
        for stream, origin in made.pretrained.items()
    ]
    training = [(key, f"`{value}`") for key, value in made.training.items()]
    return [
        f"## Data\n\n{made.data}. Samples: {samples}.",
        f"## Scores\n\nPoints of 100 on the test split, in each state of modalities.\n\n{_metrics(made.metrics)}",
        f"On the validation split:\n\n{_metrics(made.validation_metrics)}",
        f"## Training\n\n{made.params:,} weights, {made.macs:,} multiply-accumulates an inference; "
        f"{made.seconds:.0f} s.\n\n{table(('setting', 'value'), training)}",
        *(["Pretrained encoders:\n\n" + "\n".join(origins)] if origins else []),
        f"Project digest: `{made.project_sha256}`.",
        f"## Versions\n\n{table(('package', 'version'), list(made.versions.items()))}",
        f"## Licence\n\n{made.licence.strip()}",
    ]


def _metrics(metrics: Mapping[str, Mapping[str, float]]) -> str:
    if not metrics:
        return UNKNOWN.capitalize() + "."
    names = list(dict.fromkeys(name for row in metrics.values() for name in row))
    rows = [(state, *(f"{row[name]:.2f}" if name in row else "" for name in names)) for state, row in metrics.items()]
    return table(("state", *names), rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; bars within a cell are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )
