"""What the gateway adds to a request, beside a bare pass-through and LiteLLM's proxy, in one run.

    .venv/bin/python tests/bench/gateway.py                          speed, alternating
    .venv/bin/python tests/bench/gateway.py --litellm BIN            beside LiteLLM's proxy, installed anywhere
    .venv/bin/python tests/bench/gateway.py --memory 200000          memory over so many requests, as a picture

The upstream is a server of this script that answers at once. Every proxy is a process of its own, and is asked over
connections that stay open; rounds alternate between them. The gateway records every call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

CONCURRENCY = (1, 4, 16)
ROUNDS = 5
BODY = json.dumps(
    {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You are a Support Agent, named Ann. Answer with one word."},
            {"role": "user", "content": "Which queue is this for? " + "My invoice is wrong. " * 40},
        ],
    }
).encode()
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "billing"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 220, "completion_tokens": 1, "total_tokens": 221},
    }
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"w "},"finish_reason":null}]}\n\n'
LAST = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

BARE = """
import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
session = None
async def forward(request: Request):
    global session
    session = session or aiohttp.ClientSession(auto_decompress=False)
    body = await request.body()
    kind = {"content-type": "application/json"}
    answer = await session.post("http://127.0.0.1:UPSTREAM" + request.url.path, data=body, headers=kind)
    kind = {"content-type": answer.headers["content-type"]}
    return StreamingResponse(answer.content.iter_any(), answer.status, kind)
app = Starlette(routes=[Route("/{path:path}", forward, methods=["POST"])])
"""


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request of a connection at once; streams two chunks, 20 ms apart, where a stream is asked for."""
    with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):  # the bench has ended
        while head := await head_of(reader):
            body = await reader.readexactly(length_of(head))
            if b'"stream":true' in body.replace(b" ", b""):
                writer.write(STREAM_HEAD + chunked(CHUNK))
                await asyncio.sleep(0.02)
                writer.write(chunked(CHUNK) + chunked(LAST) + b"0\r\n\r\n")
            else:
                writer.write(WHOLE)
            await writer.drain()
    writer.close()


def chunked(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


async def head_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def length_of(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, body: bytes) -> tuple[float, float]:
        """Seconds to the first byte of the body, and to its end."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer sk-1\r\n"
        began = time.perf_counter()
        self.writer.write(head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in answer.split(b"\r\n", 1)[0], answer
        if b"content-length" in answer.lower():
            await self.reader.readexactly(length_of(answer))
            return time.perf_counter() - began, time.perf_counter() - began
        first = 0.0
        while size := int((await self.reader.readuntil(b"\r\n")).strip() or b"0", 16):
            await self.reader.readexactly(size + 2)
            first = first or time.perf_counter() - began
        await self.reader.readuntil(b"\r\n")
        return first, time.perf_counter() - began


async def load(port: int, requests: int, at_once: int, body: bytes = BODY) -> tuple[list[float], list[float], float]:
    """Times to the first byte and to the end of each request, and requests a second."""
    clients = [await Client(port).open() for _ in range(at_once)]
    firsts: list[float] = []
    ends: list[float] = []

    async def work(client: Client) -> None:
        for _ in range(requests // at_once):
            first, end = await client.ask(body)
            firsts.append(first)
            ends.append(end)

    began = time.perf_counter()
    await asyncio.gather(*map(work, clients))
    took = time.perf_counter() - began
    for client in clients:
        client.writer.close()
    return firsts, ends, len(ends) / took


@asynccontextmanager
async def process(command: Sequence[str], port: int, **others: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A proxy that listens on the port."""
    server = subprocess.Popen(
        command, env={**os.environ, **others}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.1)
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def compare(arguments: argparse.Namespace, folder: Path) -> None:
    at = free_port()
    server = await asyncio.start_server(upstream, "127.0.0.1", at)
    gateway, bare, other = free_port(), free_port(), free_port()
    (folder / "bare.py").write_text(BARE.replace("UPSTREAM", str(at)))
    home = ["--home", str(folder / "home"), "--upstream", f"openai=http://127.0.0.1:{at}"]
    command = [sys.executable, "-c", "import protege.cli; protege.cli.main()", "gateway", "--port", str(gateway), *home]
    starlette = [sys.executable, "-m", "uvicorn", "bare:app", "--port", str(bare), "--no-access-log"]
    ports = {"direct": at, "gateway": gateway, "bare starlette": bare}
    async with process(command, gateway) as ours, process([*starlette, "--app-dir", str(folder)], bare):
        if arguments.memory:
            await remember(ours, gateway, arguments.memory, Path(arguments.picture))
        elif arguments.litellm:
            config = folder / "litellm.yaml"
            config.write_text(litellm_config(at))
            proxy = [arguments.litellm, "--config", str(config), "--port", str(other), "--host", "127.0.0.1"]
            async with process(proxy, other, DISABLE_SCHEMA_UPDATE="true"):
                await measure({**ports, "litellm": other}, arguments.requests)
        else:
            await measure(ports, arguments.requests)
    server.close()


def litellm_config(at: int) -> str:
    return f"""
model_list:
  - model_name: gpt-4o
    litellm_params: {{model: openai/gpt-4o, api_base: "http://127.0.0.1:{at}/v1", api_key: sk-1}}
litellm_settings: {{drop_params: true}}
"""


async def measure(ports: dict[str, int], requests: int) -> None:
    print(f"{requests * ROUNDS:,} requests each; milliseconds added to a request that goes directly")
    for at_once in CONCURRENCY:
        ends: dict[str, list[float]] = {name: [] for name in ports}
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for turn in range(ROUNDS + 1):
            for name, port in ports.items():
                number = requests if name != "litellm" else max(at_once, requests // 5)
                _, took, rate = await load(port, number, at_once)
                if turn:  # the first warms up
                    ends[name] += took
                    rates[name].append(rate)
        print(f"\n{at_once} at once           added p50   added p99   requests/s")
        for name in ports:
            p50, p99 = (at_quantile(ends[name], q) - at_quantile(ends["direct"], q) for q in (0.5, 0.99))
            print(f"  {name:16} {p50 * 1e3:10.2f} {p99 * 1e3:11.2f} {statistics.median(rates[name]):12.0f}")
    body = BODY[:-1] + b', "stream": true}'
    print("\nstream, 1 at once    first token later by, ms (p50, p99)")
    firsts: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            firsts[name] += (await load(port, 40, 1, body))[0]
    for name in ports:
        p50, p99 = (at_quantile(firsts[name], q) - at_quantile(firsts["direct"], q) for q in (0.5, 0.99))
        print(f"  {name:16} {p50 * 1e3:10.2f} {p99 * 1e3:11.2f}")


async def remember(server: subprocess.Popen[bytes], port: int, requests: int, picture: Path) -> None:
    """The gateway's memory while it answers so many requests."""
    seen: list[tuple[int, float]] = []
    step = max(1, requests // 40)
    for done in range(0, requests + 1, step):
        status = Path(f"/proc/{server.pid}/status").read_text()
        megabytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
        seen.append((done, megabytes))
        print(f"  {done:9,} requests  {megabytes:7.1f} MB", flush=True)
        if done < requests:
            await load(port, step, 16)
    half = [megabytes for done, megabytes in seen if done >= requests / 2]
    print(f"from the half on {min(half):.1f} to {max(half):.1f} MB")
    write_picture(seen, picture)


def write_picture(seen: Sequence[tuple[int, float]], picture: Path) -> None:
    import plotly.graph_objects as go

    line = go.Scatter(x=[done for done, _ in seen], y=[megabytes for _, megabytes in seen])
    layout = {"xaxis_title": "requests", "yaxis_title": "MB", "yaxis_rangemode": "tozero"}
    go.Figure(line, layout).write_html(picture, include_plotlyjs="cdn")
    print(f"written: {picture}")


def at_quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400, help="in each of the rounds")
    parser.add_argument("--litellm", help="LiteLLM's command")
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--picture", default="gateway_memory.html")
    folder = Path(tempfile.mkdtemp())
    try:
        asyncio.run(compare(parser.parse_args(), folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
