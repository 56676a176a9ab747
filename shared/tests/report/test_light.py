"""What can be told without the extras: who answers, and figures for Prometheus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITHOUT = ("numpy", "scipy", "sklearn", "datasets", "hdbscan", "sqlglot", "plotly", "torch", "onnxruntime")


def test_status_and_metrics_need_no_extra(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({WITHOUT!r}))\n"
        "from protege import Workspace, status\n"
        "from protege.report.exposition import exposition\n"
        "workspace = Workspace(sys.argv[1])\n"
        "assert status(workspace)['calls'] == 0\n"
        "assert 'protege_recorded_calls_total 0' in exposition(workspace)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
