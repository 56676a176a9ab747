"""What this machine has: memory, cores, GPUs and disk space."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

GB = 1e9


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has, and what of it is free now."""

    memory_bytes: int
    """The memory that new work can take; a container's limit counts."""
    cores: int
    gpu_memory_bytes: int = 0
    """The free memory of the GPU that has most."""
    disk_free_bytes: int = 0
    """Free on the disk of the home."""
    total_memory_bytes: int = 0
    """All memory; a container's limit counts."""
    gpus: tuple[str, ...] = ()
    """The names of the GPUs."""


def machine(home: str | os.PathLike[str] | None = None) -> Machine:
    """Measure this machine.

    home: the folder whose disk is measured; it need not exist yet.
    """
    memory = psutil.virtual_memory()
    free, total = _container_memory(memory.available, memory.total)
    gpus = _gpus()
    folder = Path(home or ".").absolute()
    while not folder.exists():
        folder = folder.parent
    return Machine(
        memory_bytes=free,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        gpu_memory_bytes=max((free_bytes for _, free_bytes in gpus), default=0),
        disk_free_bytes=shutil.disk_usage(folder).free,
        total_memory_bytes=total,
        gpus=tuple(name for name, _ in gpus),
    )


def _container_memory(free: int, total: int, cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Free and total bytes under a container's limit (cgroup v2), which psutil ignores."""
    with contextlib.suppress(OSError, ValueError):
        limit = int((cgroup / "memory.max").read_text())
        return min(free, limit - int((cgroup / "memory.current").read_text())), min(total, limit)
    return free, total


def _gpus() -> list[tuple[str, int]]:
    """The name and free bytes of each NVIDIA GPU; none if nvidia-smi is missing, fails or hangs."""
    command = ["nvidia-smi", "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=3, check=True)
        rows = [line.rsplit(",", 1) for line in process.stdout.splitlines() if line.strip()]
        return [(name.strip(), int(mebibytes) * 2**20) for name, mebibytes in rows]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
