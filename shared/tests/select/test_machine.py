"""What this machine has."""

from __future__ import annotations

from pathlib import Path

import pytest
from protege.select import machine
from protege.select.hardware import _container_memory


def test_this_machine_has_memory_cores_and_disk(tmp_path: Path) -> None:
    here = machine(tmp_path / "not" / "yet")
    assert 0 < here.memory_bytes <= here.total_memory_bytes
    assert here.cores >= 1
    assert here.disk_free_bytes > 0


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("4000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert _container_memory(9000, 10000, tmp_path) == (3000, 4000)
    assert _container_memory(2000, 2500, tmp_path) == (2000, 2500)
    (tmp_path / "memory.max").write_text("max\n")
    assert _container_memory(9000, 10000, tmp_path) == (9000, 10000)


@pytest.mark.parametrize(
    ("script", "gpus", "free"),
    [
        ("echo 'NVIDIA H200, 1000'; echo 'NVIDIA T4, 500'", ("NVIDIA H200", "NVIDIA T4"), 1000 * 2**20),
        ("echo 'no devices were found'", (), 0),
        ("exit 9", (), 0),
    ],
)
def test_gpus_are_what_nvidia_smi_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, gpus: tuple[str, ...], free: int
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    here = machine()
    assert (here.gpus, here.gpu_memory_bytes) == (gpus, free)


def test_no_nvidia_smi_means_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine().gpus == ()
