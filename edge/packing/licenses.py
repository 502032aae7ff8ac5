"""What a bundle is licensed under: the packages that made its graphs, by what their own metadata state."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

    from edge.runtime.bundle import Bundle

NOT_INSTALLED = "not installed here"
NOT_STATED = "not stated"
INTERPRETER = "python"  # stands among the versions, but is no package
_CLASSIFIER = "License :: "
_LONGEST_NAME = 80  # some packages put the licence's whole text where its name belongs
_NO_LICENSE = frozenset({"", "UNKNOWN"})


@dataclass(frozen=True)
class LicenceEntry:
    """One package that took part in making a bundle.

    Attributes:
        package: Its name.
        version: That it had then.
        installed: The version whose metadata were read; None where the package is not installed here.
        licence: What they state: an SPDX expression, a name, or classifiers.
    """

    package: str
    version: str
    installed: str | None
    licence: str

    def to_json(self) -> dict[str, str | None]:
        """For a program."""
        return asdict(self)


def licence_report(bundle: Bundle) -> tuple[LicenceEntry, ...]:
    """The packages of the manifest's `tool_versions` with their licences, in the order of their names.

    Metadata are read on this machine: where another version is installed than the one that packed the bundle, or
    none, the entry says so. What the model and its data are licensed under stands in the bundle's `LICENSES`.
    """
    used = {name: version for name, version in bundle.manifest.tool_versions.items() if name != INTERPRETER}
    return tuple(_entry(name, used[name]) for name in sorted(used))


def _entry(package: str, version: str) -> LicenceEntry:
    try:
        found = metadata(package)
    except (PackageNotFoundError, ValueError):  # ValueError: the name is empty
        return LicenceEntry(package, version, None, NOT_INSTALLED)
    return LicenceEntry(package, version, found["Version"], stated_licence(found))


def stated_licence(found: PackageMetadata) -> str:
    """The licence by a package's metadata: its SPDX expression, else its licence's name, else its classifiers."""
    fields = found.json
    expression = str(fields.get("license_expression") or "")
    if expression:
        return expression
    name = str(fields.get("license") or "").strip()
    if name not in _NO_LICENSE and len(name) <= _LONGEST_NAME and "\n" not in name:
        return name
    classifiers = [str(c) for c in fields.get("classifier") or () if str(c).startswith(_CLASSIFIER)]
    stated = [c.split(" :: ")[-1] for c in classifiers]
    return ", ".join(stated) or (name.splitlines()[0][:_LONGEST_NAME] if name not in _NO_LICENSE else NOT_STATED)
