"""The description of the machine."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from edge.runtime import environment
from edge.runtime.environment import HostDescription, describe_host

ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm sve\nCPU part\t: 0xd42\n\nprocessor\t: 1\nCPU part\t: 0x0\n"
X86 = "processor\t: 0\nmodel name\t: A Fast One\nflags\t\t: fpu sse4_2 avx2 avx512_vnni\n"


def test_it_is_json_and_reads_back() -> None:
    host = describe_host(seed=3, threads={"engine": 1})
    assert HostDescription.model_validate(json.loads(json.dumps(host.to_json()))) == host
    assert host.seed == 3
    assert host.threads["engine"] == 1
    assert host.packages["numpy"] == version("numpy")
    assert 1 <= host.usable_cores <= (os.cpu_count() or 1)


def test_it_holds_no_path() -> None:
    text = json.dumps(describe_host().to_json())
    assert str(Path.home()) not in text.replace('"/"', "")
    assert str(Path.cwd()) not in text


def test_thread_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("MKL_NUM_THREADS", "many")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    threads = describe_host().threads
    assert threads["OMP_NUM_THREADS"] == 2
    assert threads["MKL_NUM_THREADS"] == "many"
    assert "OPENBLAS_NUM_THREADS" not in threads


@pytest.mark.parametrize(
    ("text", "cpu", "flags"),
    [
        (ARM, "ARM part 0xd42", {"asimd", "asimddp", "i8mm", "sve"}),
        (X86, "A Fast One", {"sse4_2", "avx2", "avx512_vnni"}),
    ],
)
def test_cpu_of_x86_and_arm(
    text: str, cpu: str, flags: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr(environment, "_CPU_INFO", tmp_path / "cpuinfo")
    host = describe_host()
    assert (host.cpu, set(host.cpu_flags)) == (cpu, flags)


def test_a_board_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson Orin Nano\x00")
    (tmp_path / "release").write_text("# R36 (release), REVISION: 4.3\n# more\n", encoding="utf-8")
    monkeypatch.setattr(environment, "_BOARD_MODEL", tmp_path / "model")
    monkeypatch.setattr(environment, "_TEGRA_RELEASE", tmp_path / "release")
    host = describe_host()
    assert host.board == "NVIDIA Jetson Orin Nano"
    assert host.jetson_linux == "# R36 (release), REVISION: 4.3"


def test_a_system_without_proc_is_described_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_CPU_INFO", tmp_path / "absent")
    monkeypatch.setattr(environment, "_BOARD_MODEL", tmp_path / "absent")
    host = describe_host()
    assert host.cpu
    assert host.cpu_flags == ()
    assert host.board is None
