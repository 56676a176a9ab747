"""The bytes at the client are those that the upstream sent: exchanges of every dialect, whole and streamed, in every
coding, cut into parts at random places.

    python tests/bench/sweeps/gateway_equality.py [--exchanges 2000] [--seed 1] [--json]

The upstream writes each answer in the dialect that was asked for, with texts of many scripts, spaces within the JSON,
and fields that nobody knows. A gateway in this process stands between. Status, headers and body must be equal, and each
call must be recorded once, with the answer's text.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import tempfile
import zlib
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import brotli
import orjson
import zstandard

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from gateways import CLIENT, Send, body_of, gateway, lifespan, served
from protege.call import Reply, request_from, text_of
from protege.dialects import dialect_at
from protege.gateway.settings import Settings, Upstream
from sweeping import calls_of, command_line, told

FRONTS = ("openai", "azure", "anthropic", "gemini", "ollama")
TEXTS = ("billing", "Zażółć gęślą jaźń", "它下雨了", 'a\nb\t"c"\\', "🙂 done", "\u2028 line", " ", "x" * 5000)
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
_CHAT = {"model": "m", "messages": [{"role": "user", "content": "{}"}]}
_CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "{}"}]}]}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", _CHAT),
    "chat, streamed": ("/v1/chat/completions", {**_CHAT, "stream": True}),
    "responses": ("/v1/responses", {"model": "m", "input": "{}"}),
    "responses, streamed": ("/v1/responses", {"model": "m", "input": "{}", "stream": True}),
    "completions": ("/v1/completions", {"model": "m", "prompt": "{}"}),
    "completions, streamed": ("/v1/completions", {"model": "m", "prompt": "{}", "stream": True}),
    "azure": ("/openai/deployments/m/chat/completions?api-version=1", _CHAT),
    "anthropic": ("/v1/messages", {**_CHAT, "max_tokens": 5}),
    "anthropic, streamed": ("/v1/messages", {**_CHAT, "max_tokens": 5, "stream": True}),
    "gemini": ("/v1beta/models/m:generateContent", _CONTENTS),
    "gemini, streamed": ("/v1beta/models/m:streamGenerateContent?alt=sse", _CONTENTS),
    "ollama": ("/api/chat", {**_CHAT, "stream": False}),
    "ollama, streamed": ("/api/chat", _CHAT),
    "generate": ("/api/generate", {"model": "m", "prompt": "{}", "stream": False}),
    "generate, streamed": ("/api/generate", {"model": "m", "prompt": "{}"}),
}


class Scripted:
    """Answers by the number in the request's text, and keeps what it sent."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.sent: dict[int, tuple[str, bytes]] = {}
        """By number: the answer's text, and its body as it was sent."""
        self.came: dict[int, bytes] = {}
        """The request's body."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return await lifespan(receive, send)
        body = await body_of(receive)
        query = dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)
        operation = dialect_at("POST", scope["path"])
        assert operation.dialect is not None
        asked = operation.dialect.asked(scope["path"], query, orjson.loads(body))
        number = int(text_of(request_from(asked.record).messages[-1]).split()[0])
        chance = random.Random(self._seed * 1_000_003 + number)
        text = chance.choice(TEXTS) + str(number)
        reply = Reply({"role": "assistant", "content": text}, "stop", "m-1", 12, 3)
        plain = b"".join(operation.dialect.parts(reply, asked))
        if not asked.streams:
            plain = json.dumps(
                {**json.loads(plain), "x_unknown": [1e300, None]}, indent=chance.choice((None, 1))
            ).encode()
        coding = chance.choice(tuple(CODINGS))
        packed = CODINGS[coding](plain)
        self.sent[number], self.came[number] = (text, packed), body
        headers = [(b"content-type", operation.dialect.content_type(asked).encode()), (b"x-number", b"%d" % number)]
        if coding != "identity":
            headers.append((b"content-encoding", coding.encode()))
        if chance.random() < 0.5:
            headers.append((b"content-length", b"%d" % len(packed)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in cut(packed, chance):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def cut(body: bytes, chance: random.Random) -> list[bytes]:
    """The body in up to nine parts."""
    places = sorted(chance.randrange(len(body) + 1) for _ in range(chance.randrange(9)))
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if a < b]


def sweep(exchanges: int, seed: int, home: Path) -> dict[str, Any]:
    """Send so many exchanges, one dialect after the other."""
    upstream = Scripted(seed)
    wrong: dict[str, int] = {}
    figures = home.parent / "figures"
    figures.mkdir()
    with served(upstream) as at:
        settings = Settings(home, upstreams=tuple(Upstream(front, "", at) for front in FRONTS))
        with gateway(settings, figures) as url:
            for number in range(exchanges):
                name = tuple(REQUESTS)[number % len(REQUESTS)]
                path, body = REQUESTS[name]
                sent = json.dumps(body).replace("{}", f"{number} of them").encode()
                with CLIENT.stream("POST", url + path, content=sent) as answer:
                    came = b"".join(answer.iter_raw())
                same = came == upstream.sent[number][1] and sent == upstream.came[number]
                if not same or answer.headers["x-number"] != str(number):
                    wrong[name] = wrong.get(name, 0) + 1
            texts = [text_of(call.response) for call in calls_of(home, exchanges) if call.response]
    lost = sum(upstream.sent[number][0] not in texts for number in range(exchanges))
    ok = not wrong and not lost and len(texts) == exchanges
    return {"exchanges": exchanges, "unequal": wrong, "recorded": len(texts), "lost": lost, "ok": ok}


def main() -> None:
    options = command_line(__doc__ or "", ("exchanges", 2000), ("seed", 1))
    with tempfile.TemporaryDirectory() as folder:
        figures = sweep(options.exchanges, options.seed, Path(folder) / "home")
    told(figures, as_json=options.json)


if __name__ == "__main__":
    main()
