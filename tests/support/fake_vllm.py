"""A server that speaks vLLM's protocol, for tests on machines without a GPU: it answers by rule, and checks what it is
asked as vLLM does. LoRA weights come from the folder of its filesystem resolver, by the rules of that resolver."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

END = "<|end|>"
CONTEXT = 4096
STORY = ["Once ", *["upon "] * 900]


class FakeVllm:
    """One server, on a free port of loopback, until it is stopped."""

    def __init__(self, root: str, loras: Path, *, name: str = "base", key: str = "", token_s: float = 0.001) -> None:
        self.root, self.loras, self.name, self.key, self.token_s = root, loras, name, key, token_s
        self.version = "0.20.2"
        self.fault = 0
        """An HTTP status that completions are refused with; 0 for none, -1 to hang up in the middle."""
        self.asked: list[dict[str, Any]] = []
        self.instead: dict[str, Any] = {}
        """By path, what is answered there instead."""
        fake = self

        class Handler(_Handler):
            server_of = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def knows(self, model: str) -> bool:
        """As `FilesystemResolver` does: a folder of that name, whose settings name the base as the server does."""
        config = self.loras / model / "adapter_config.json"
        if model == self.name:
            return True
        if "/" in model or not config.is_file():
            return False
        told = json.loads(config.read_bytes())
        return told["peft_type"] == "LORA" and told["base_model_name_or_path"] == self.name

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(body)
        if not self.knows(body["model"]):
            return 404, _error(404, f"The model `{body['model']}` does not exist.")
        prompt = [*body["prompt"].split(), "bos"]
        if len(prompt) + body["max_tokens"] > CONTEXT:
            return 400, _error(400, f"This model's maximum context length is {CONTEXT} tokens.")
        said = body["prompt"].rpartition("user\n")[2].partition(END)[0]
        words = STORY if "long story" in said else [f"{body['model'][-6:]} ", "says ", said[:12] or "x"]
        written = [*words, END][: body["max_tokens"]]
        time.sleep(self.token_s * len(written))
        stopped = written[-1] == END
        top = [{token: -0.25, "other": -1.5} for token in written]
        choice = {
            "index": 0,
            "text": "".join(written[:-1] if stopped else written),
            "finish_reason": "stop" if stopped else "length",
            "logprobs": {
                "tokens": written,
                "token_logprobs": [-0.25] * len(written),
                "top_logprobs": top if body.get("logprobs") else None,
                "text_offset": [0] * len(written),
            },
        }
        usage = {"prompt_tokens": len(prompt) + 10, "completion_tokens": len(written)}
        return 200, {"object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    server_of: FakeVllm
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        fake = self.server_of
        if self.path in fake.instead:
            return self._send(200, fake.instead[self.path])
        if self.path == "/version":
            return self._send(200, {"version": fake.version})
        if self.path == "/v1/models":
            return self._send(
                200, {"data": [{"id": fake.name, "root": fake.root, "parent": None, "max_model_len": CONTEXT}]}
            )
        self._send(404, _error(404, "Not Found"))

    def do_POST(self) -> None:
        fake = self.server_of
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
            return self._send(401, _error(401, "Unauthorized"))
        if self.path in fake.instead:
            return self._send(200, fake.instead[self.path])
        if self.path == "/tokenize":
            return self._send(200, {"count": len(body["prompt"].split()) + 1, "tokens": []})
        if self.path != "/v1/completions":
            return self._send(404, _error(404, "Not Found"))
        if fake.fault == -1:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            self.close_connection = True
            return None
        if fake.fault:
            return self._send(fake.fault, _error(fake.fault, "a fault"))
        status, answer = fake.answer(body)
        self._send(status, answer)

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the caller is gone

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "Error", "code": status}}
