"""A small exported program as a file, and tools to change what is in such a file."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from edge.compress.program.file import pack_program, read_program
from edge.compress.quantize.tracing import quiet, trace
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

Files = dict[str, bytes]
MODEL = "archive/models/model.json"
WEIGHTS = "archive/data/weights/model_weights_config.json"
CONSTANTS = "archive/data/constants/model_constants_config.json"
NAMES = ("camera", "present"), ("score", "features")


class Scorer(nn.Module):
    """Parameters, a buffer, a constant that is neither, an operator with several results, and a list of tensors."""

    gain: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.register_buffer("gain", torch.arange(1.0, 5.0).view(1, 4, 1, 1))
        self.shift = torch.full((1, 4, 1, 1), 0.5)

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.stem(image)) * self.gain + self.shift
        first, second = features.chunk(2, 1)
        mixed = torch.cat([second, first], 1)
        return self.head(mixed.mean((2, 3))) * present[:, :1], mixed


def example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(1, 3, 8, 8, generator=generator), torch.ones(1, 2)


@cache
def scorer() -> Scorer:
    torch.manual_seed(0)
    return Scorer().eval()


@cache
def packed() -> bytes:
    """The program as a bundle holds it."""
    return pack_program(trace(scorer(), example()), *NAMES)


@cache
def exported() -> bytes:
    """The program as its user's own script exports it, with sample inputs."""
    stream = io.BytesIO()
    with quiet():
        torch.export.save(torch.export.export(scorer(), example()), stream, extra_files={"notes.txt": "mine"})
    return stream.getvalue()


def opened(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def closed(files: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def edited(change: Callable[[Any], object], member: str = MODEL) -> bytes:
    """The packed program after a change to one of its JSON members."""
    files = opened(packed())
    content = json.loads(files[member])
    change(content)
    return closed({**files, member: json.dumps(content).encode()})


def replaced(old: str, new: str, member: str = MODEL) -> bytes:
    """The packed program with one string of a JSON member in the place of another, wherever it stands."""
    files = opened(packed())
    content = files[member].decode()
    assert json.dumps(old) in content
    return closed({**files, member: content.replace(json.dumps(old), json.dumps(new)).encode()})


class Touch:
    """Pickled, it makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def harmful_pickle(path: Path) -> bytes:
    """What torch.load runs, where it does not refuse pickles: a plain pickle, and an archive around one."""
    stream = io.BytesIO()
    torch.save({"stem.weight": Touch(path)}, stream)
    return stream.getvalue()


def harmful_object(path: Path) -> bytes:
    return pickle.dumps(Touch(path))


def refused(content: bytes, message: str, mark: Path | None = None) -> None:
    """The file is refused with this message, which names it, and what `code(mark)` would make is not there."""
    with pytest.raises(ModelError, match=message) as caught:
        read_program(content, "some.pt2").exported.module()(*example())
    assert "some.pt2" in str(caught.value)
    assert mark is None or not mark.exists()


def code(mark: Path) -> str:
    """Python that makes a file where it is run."""
    return f"__import__('pathlib').Path({str(mark)!r}).touch()"
