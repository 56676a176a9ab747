"""The process that holds the models: `python -P -m protege.serve.embedded.child`.

Reads one line of JSON on stdin (so that the token stands on no command line), starts llama.cpp's server on a Unix
socket, writes one line of JSON on stdout once it can answer, and ends when stdin closes: with its parent, however that
ended.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from .sockets import remove_socket

WATCH_S = 1.0
LOG_S = 1.0
"""llama.cpp writes its log, which has the reason of a failure, in a thread that it never waits for."""


def main() -> None:
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints must not stand among what we report
    config: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    try:
        server, library = _start(config)
    except (RuntimeError, ValueError) as error:
        sys.stderr.write(f"0 E {error}\n")
        time.sleep(LOG_S)
        sys.exit(1)
    report.write(json.dumps({"listening": server.listening_address, "library": library}) + "\n")
    report.flush()
    _wait(int(config["parent"]))
    remove_socket(Path(config["socket"]))
    os._exit(0)  # the server's own end waits for the answers under way


def _start(config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in config["loras"]]
    params.n_parallel = config["parallel"]
    params.n_ctx = config["context"] * config["parallel"]
    params.n_batch, params.n_ubatch = config["batch"], config["batch"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.fit_params = False  # it would change the context by the memory that happens to be free
    params.cache_ram_mib = 0  # a cache of prompts, 8 GiB by default
    params.cache_idle_slots = False
    params.ctx_shift = False
    os.umask(0o077)
    params.hostnames = [config["socket"]]
    params.api_keys = [config["token"]]
    # A thread each for the callers that wait; by default a seventh concurrent caller would not even be read.
    params.n_threads_http = 64
    params.ui = params.endpoint_slots = False
    params.verbosity = 2  # warnings: above it prompts are written
    server = xllamacpp.Server(params)
    return server, {
        "version": xllamacpp.__version__,
        "build": xllamacpp.BUILD_INFO,
        "system": xllamacpp.get_system_info(),
    }


def _wait(parent: int) -> None:
    """Until stdin closes, or the parent is gone: a process that it forked may still hold the other end open."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], WATCH_S)
        if readable and not os.read(0, 4096):
            return


if __name__ == "__main__":
    main()
