"""Projects on the small manifest of the runtime's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge.project import Project
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.sources.manifest_payloads import PayloadReader
from edge.runtime.sources.manifest_rows import parse_rows
from edge.runtime.sources.manifest_table import CsvTable
from tests.runtime.sources.manifest_files import CLASSES, IO, LAYOUT, RIG


def project_on(path: Path, kind: str = "manifest", **changes: Any) -> Project:
    """A project whose data is the table `path`; the rig is written beside it."""
    rig = path.parent / "rig.yaml"
    rig.write_text(yaml.safe_dump(RIG.model_dump(mode="json", by_alias=True)))
    data = {"kind": kind, "path": str(path), "rig": str(rig), **LAYOUT.model_dump(mode="json"), **changes}
    content = {
        "schema": 1,
        "name": "machines",
        "io": IO.model_dump(mode="json", by_alias=True),
        "data": data,
        "teacher": {"encoders": {}},
        "student": {"encoders": {}},
        "recipe": {"stages": [{"stage": "quantize"}]},
    }
    return Project.model_validate(content)


def tensors_of(path: Path) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """What the runtime makes of each row, by id."""
    found = parse_rows(CsvTable(path), LAYOUT, IO)
    reader, preprocessor = PayloadReader(found, IO), Preprocessor(IO, RIG)
    return {row.id: preprocessor.inputs(reader.payloads(row)) for row in found.samples}


def class_of(name: str) -> int:
    """The label of sample `s7`."""
    return int(name[1:]) % len(CLASSES)
