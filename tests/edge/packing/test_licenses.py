"""The licence report: what packages state of themselves, and what is said where they are not here."""

from __future__ import annotations

import dataclasses
from importlib.metadata import PackageMetadata, PathDistribution, version
from pathlib import Path

import pytest

from edge.packing.licenses import NOT_INSTALLED, NOT_STATED, LicenceEntry, licence_report, stated_licence
from edge.runtime.bundle import Bundle

MIT_TEXT = "MIT License\n        \n        Copyright (c) Someone\n        \n        Permission is hereby granted"


def _metadata(folder: Path, *lines: str) -> PackageMetadata:
    place = folder / "thing-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: thing", "Version: 1.0", *lines, "", ""]))
    return PathDistribution(place).metadata


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (("License-Expression: MIT AND BSD-3-Clause", "License: other"), "MIT AND BSD-3-Clause"),
        (("License: Apache 2.0", "Classifier: License :: OSI Approved :: MIT License"), "Apache 2.0"),
        (("Classifier: License :: OSI Approved :: BSD License",), "BSD License"),
        (
            (
                "License: UNKNOWN",
                "Classifier: Topic :: Software Development",
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: Public Domain",
            ),
            "MIT License, Public Domain",
        ),
        ((f"License: {MIT_TEXT}", "Classifier: License :: OSI Approved :: MIT License"), "MIT License"),
        ((f"License: {MIT_TEXT}",), "MIT License"),
        ((f"License: {'x' * 200}",), "x" * 80),
        (("License: ",), NOT_STATED),
        ((), NOT_STATED),
    ],
)
def test_what_a_package_states(tmp_path: Path, lines: tuple[str, ...], licence: str) -> None:
    assert stated_licence(_metadata(tmp_path, *lines)) == licence


def test_each_package_is_listed_with_the_version_that_was_read(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    versions = {"python": "CPython 3.11.7", "numpy": "1.21.0", "gone-from-here": "2.0", "": "1"}
    manifest = bundle.manifest.model_copy(update={"tool_versions": versions})
    report = licence_report(dataclasses.replace(bundle, manifest=manifest))
    assert [entry.package for entry in report] == ["", "gone-from-here", "numpy"]
    assert report[1] == LicenceEntry("gone-from-here", "2.0", None, NOT_INSTALLED)
    assert (report[2].version, report[2].installed) == ("1.21.0", version("numpy"))
    assert "BSD" in report[2].licence


def test_a_packed_bundle_names_what_made_it(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    report = {entry.package: entry for entry in licence_report(bundle)}
    assert report.keys() == bundle.manifest.tool_versions.keys() - {"python"}
    assert report["edge-fusion"].licence == "Apache-2.0"
    assert report["onnxruntime"].licence == "MIT License"
    assert bundle.text("LICENSES") == "Apache-2.0"
