"""The popular tracers as LangChain callbacks, each sending to a server on loopback that throws all away.

Imported by recorder.py where they are installed; none is needed by Protégé:

    pip install langfuse openinference-instrumentation-langchain opentelemetry-sdk \\
        opentelemetry-exporter-otlp-proto-http mlflow
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.callbacks import BaseCallbackHandler

_SINK = """
import http.server, socketserver
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            left -= len(self.rfile.read(min(left, 65536)))
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
    do_GET = do_POST
    def log_message(self, *args): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def sink() -> Iterator[str]:
    """A server of its own process, which takes no time from this one."""
    process = subprocess.Popen([sys.executable, "-c", _SINK], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    process.kill()
    process.wait()


def _langfuse(url: str) -> BaseCallbackHandler:
    from langfuse import Langfuse  # pyright: ignore[reportMissingImports]
    from langfuse.langchain import CallbackHandler  # pyright: ignore[reportMissingImports]

    Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", host=url)
    return _quick(CallbackHandler())


def _openinference(url: str) -> BaseCallbackHandler:
    from openinference.instrumentation import OITracer, TraceConfig  # pyright: ignore[reportMissingImports]
    from openinference.instrumentation.langchain._tracer import OpenInferenceTracer  # pyright: ignore[reportMissingImports]
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # pyright: ignore[reportMissingImports]
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    tracer = OITracer(provider.get_tracer("bench"), config=TraceConfig())
    return _quick(OpenInferenceTracer(tracer, separate_trace_from_runtime_context=False))


def _mlflow(url: str) -> BaseCallbackHandler:
    os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "true"
    import mlflow  # pyright: ignore[reportMissingImports]
    from mlflow.langchain.langchain_tracer import MlflowLangchainTracer  # pyright: ignore[reportMissingImports]

    mlflow.set_tracking_uri(f"sqlite:///{tempfile.mkdtemp()}/mlflow.db")
    return _quick(MlflowLangchainTracer())


def _quick(handler: BaseCallbackHandler) -> BaseCallbackHandler:
    handler.run_inline = True
    return handler


MAKE = {"langfuse": _langfuse, "openinference": _openinference, "mlflow": _mlflow}
_MODULES = {"langfuse": "langfuse", "openinference": "openinference.instrumentation.langchain", "mlflow": "mlflow"}


def installed() -> list[str]:
    """The tracers that are here; the others are told."""
    found: list[str] = []
    for name, module in _MODULES.items():
        try:
            importlib.import_module(module)
            found.append(name)
        except ImportError:
            print(f"{name} is not installed")
    return found
