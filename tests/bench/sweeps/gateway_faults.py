"""Faults between a client, the gateway and an upstream: waits are bounded, nothing that was answered is lost, nothing
is recorded twice, and no key is in any file.

    python tests/bench/sweeps/gateway_faults.py [--kills 50] [--each 20] [--idle 1000] [--json]

Kills: a gateway in a process of its own is killed (SIGKILL) while eight clients stream. An answer that had come whole
must be in the journal; those that came within 50 ms of the kill are counted apart. Faults: an upstream that hangs,
resets, is slow, fails, writes what is no event, or sends ten megabytes, and clients that leave. Idle streams: so many
are open at once, while another client asks.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from gateways import CLIENT, gateway
from protege.call import text_of
from protege.gateway.settings import Settings, Upstream
from sweeping import calls_of, command_line, eventually, percentile, told

KEY = "sk-kept-out-of-every-file-0123456789"
WAIT_S, HELD_S = 0.5, 5.0
"""The gateway waits so long for a byte; no client may wait longer than the second, on a busy machine."""
LATE_S = 0.05
LARGE = b'{"choices":[{"message":{"role":"assistant","content":"%s' + b"y" * (10 << 20)
LARGE += b'"},"finish_reason":"stop"}]}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
SSE, JSON = b"text/event-stream", b"application/json"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: a close resets the connection."""


class Misbehaving:
    """A server that does what the last message of a request says: "MODE NUMBER"."""

    def __init__(self) -> None:
        self.idle = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
                text = json.loads(body)["messages"][-1]["content"][:200]
                if not await self._answer(text, writer):
                    break
        writer.close()

    async def _answer(self, text: str, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        mode = text.split()[0]
        if mode == "hung":
            await asyncio.sleep(30)
        if mode == "reset":
            return self._reset(writer)
        if mode == "failing":
            writer.write(b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno")
            return True
        if mode == "large":
            writer.write(HEAD % JSON + chunk(LARGE % text.encode()) + chunk(b""))
            await writer.drain()
            return True
        return await self._stream(mode, text, writer)

    async def _stream(self, mode: str, text: str, writer: asyncio.StreamWriter) -> bool:
        writer.write(HEAD % SSE + chunk(event(text)))
        await writer.drain()
        if mode == "hung-midway":
            await asyncio.sleep(30)
        if mode == "reset-midway":
            await asyncio.sleep(0.02)
            return self._reset(writer)
        if mode == "idle":
            await self.idle.wait()
        for _ in range(3):
            await asyncio.sleep(0.1 if mode in ("slow", "left") else 0.002)
            writer.write(chunk(b"data: {no json\n\n\x00\xff" if mode == "malformed" else event(" word")))
            await writer.drain()
        writer.write(chunk(event("", "stop") + b"data: [DONE]\n\n") + chunk(b""))
        return True

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> bool:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
        return False


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


def event(content: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": reason}
    return b"data: " + json.dumps({"model": "m-1", "choices": [choice]}).encode() + b"\n\n"


@contextmanager
def upstream() -> Iterator[tuple[str, Misbehaving, asyncio.AbstractEventLoop]]:
    """The server, in a thread of its own."""
    loop = asyncio.new_event_loop()
    scripted = Misbehaving()
    server = loop.run_until_complete(asyncio.start_server(scripted, "127.0.0.1", 0, limit=1 << 26, backlog=2048))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", scripted, loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_cancelled())
        loop.close()


async def _cancelled() -> None:
    """End what hangs still."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def request(text: str) -> dict[str, Any]:
    return {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}


def asked(client: httpx.Client, url: str, text: str) -> str:
    """How a request ended for its client."""
    try:
        answer = client.post(f"{url}/v1/chat/completions", json=request(text))
    except httpx.HTTPError as error:
        return type(error).__name__
    return str(answer.status_code)


def keys_in(folder: Path) -> int:
    return sum(KEY.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())


# Faults of the upstream and of clients

ENDS = {
    "hung": "504",
    "hung-midway": "RemoteProtocolError",
    "reset": "502",
    "reset-midway": "RemoteProtocolError",
    "failing": "500",
    "slow": "200",
    "malformed": "200",
    "large": "200",
}
"""How each ends for the client."""
ANSWERED = frozenset({"slow", "large"})


def faults(each: int, folder: Path) -> dict[str, Any]:
    """Each fault so many times, from four clients at once."""
    home, figures = folder / "home", folder / "figures"
    figures.mkdir(parents=True)
    found: dict[str, Any] = {}
    with upstream() as (at, _, _), gateway(_settings(home, at), figures) as url:
        for mode, wanted in ENDS.items():
            found[mode] = _fault(mode, wanted, 3 if mode == "large" else each, url)
        found["left"] = _left(each, url)
        sent = [f"{mode} {n}" for mode in found for n in range(found[mode]["asked"])]
        calls = calls_of(home, len(sent))
    seen = Counter(text_of(call.request.messages[-1])[:200] for call in calls)
    for mode in found:
        theirs = [call for call in calls if text_of(call.request.messages[-1]).split()[0] == mode]
        errors = sum(call.error is not None for call in theirs)
        told_right = errors == (0 if mode in ANSWERED else len(theirs))
        found[mode] |= {"recorded": len(theirs), "with an error": errors}
        found[mode]["ok"] = found[mode]["ok"] and told_right and len(theirs) == found[mode]["asked"]
    doubled = sum(n - 1 for n in seen.values())
    keys = keys_in(folder)
    ok = all(one["ok"] for one in found.values()) and not doubled and not keys
    return {**found, "recorded twice": doubled, "files with a key": keys, "ok": ok}


def _settings(home: Path, at: str) -> Settings:
    return Settings(home, upstreams=(Upstream("openai", "", at),), wait_s=WAIT_S, connect_s=WAIT_S)


def _fault(mode: str, wanted: str, times: int, url: str) -> dict[str, Any]:
    took: list[float] = []
    ends: Counter[str] = Counter()

    def ask(numbers: range) -> None:
        with httpx.Client(timeout=30, headers={"authorization": f"Bearer {KEY}"}) as client:
            for number in numbers:
                began_s = time.monotonic()
                ends[asked(client, url, f"{mode} {number}")] += 1
                took.append(time.monotonic() - began_s)

    threads = [threading.Thread(target=ask, args=(range(first, times, 4),)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "asked": times,
        "ends": dict(ends),
        "longest s": max(took),
        "ok": {wanted} == set(ends) and max(took) < HELD_S,
    }


def _left(times: int, url: str) -> dict[str, Any]:
    """Clients that leave once the first part has come."""
    for number in range(times):
        with (
            httpx.Client(timeout=30, headers={"authorization": f"Bearer {KEY}"}) as client,
            client.stream("POST", f"{url}/v1/chat/completions", json=request(f"left {number}")) as answer,
        ):
            next(answer.iter_raw())
    return {"asked": times, "ok": True}


# Idle streams


async def _idle(number: int, url: str, scripted: Misbehaving, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    took: list[float] = []
    whole = 0
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=60, limits=limits, headers={"authorization": f"Bearer {KEY}"}) as client:
        started = [asyncio.Event() for _ in range(number)]

        async def idle(n: int) -> None:
            nonlocal whole
            async with client.stream("POST", f"{url}/v1/chat/completions", json=request(f"idle {n}")) as answer:
                parts = b""
                async for part in answer.aiter_raw():
                    started[n].set()
                    parts += part
                whole += b"[DONE]" in parts

        streams = [asyncio.create_task(idle(n)) for n in range(number)]
        await asyncio.wait_for(asyncio.gather(*(each.wait() for each in started)), 60)
        for n in range(50):
            began_s = time.monotonic()
            answer = await client.post(f"{url}/v1/chat/completions", json=request(f"meanwhile {n}"))
            assert answer.status_code == 200
            took.append(time.monotonic() - began_s)
        loop.call_soon_threadsafe(scripted.idle.set)
        await asyncio.gather(*streams)
    return {"streams": number, "whole": whole, "a request meanwhile, p99 s": percentile(took, 0.99)}


def idle_streams(number: int, folder: Path) -> dict[str, Any]:
    """So many open streams at once, and another client that asks meanwhile."""
    home, figures = folder / "home", folder / "figures"
    figures.mkdir(parents=True)
    with upstream() as (at, scripted, loop):
        settings = Settings(home, upstreams=(Upstream("openai", "", at),), wait_s=60.0)
        with gateway(settings, figures) as url:
            found = asyncio.run(_idle(number, url, scripted, loop))
            calls = calls_of(home, number + 50)
    ok = found["whole"] == number and len(calls) == number + 50 and not any(call.error for call in calls)
    return {**found, "recorded": len(calls), "ok": ok and found["a request meanwhile, p99 s"] < HELD_S}


# Kills


def kills(times: int, folder: Path) -> dict[str, Any]:
    """Kill a gateway so many times while clients stream, each time on the same home."""
    home = folder / "home"
    answered: dict[str, float] = {}
    killed_at: list[float] = []
    chance = random.Random(1)
    with upstream() as (at, _, _):
        for turn in range(times):
            with _process(home, at, folder) as (url, process):
                threads = [
                    threading.Thread(target=_streams, args=(url, f"quick {turn}-{n}", answered)) for n in range(8)
                ]
                for thread in threads:
                    thread.start()
                before = len(answered)
                assert eventually(lambda: len(answered) > before + 8, 30), "nothing is answered"  # noqa: B023
                time.sleep(chance.random() / 2)
                killed_at.append(time.monotonic())
                process.kill()
                process.wait()
                for thread in threads:
                    thread.join()
    calls = calls_of(home, len(answered))
    recorded = Counter(text_of(call.request.messages[-1]) for call in calls if call.error is None)
    lost = [ended for text, ended in answered.items() if text not in recorded]
    late = sum(any(abs(kill - ended) < LATE_S for kill in killed_at) for ended in lost)
    doubled = sum(n - 1 for n in recorded.values())
    keys = keys_in(folder)
    figures = {"kills": times, "answered": len(answered), "lost": len(lost) - late, "lost in the last 50 ms": late}
    ok = len(answered) > times and len(lost) == late and not doubled and not keys
    return {**figures, "recorded twice": doubled, "files with a key": keys, "ok": ok}


def _streams(url: str, text: str, answered: dict[str, float]) -> None:
    """Ask until the gateway is gone; note what was answered whole, and when."""
    with httpx.Client(timeout=10, headers={"authorization": f"Bearer {KEY}"}) as client:
        for number in range(10_000):
            try:
                answer = client.post(f"{url}/v1/chat/completions", json=request(f"{text}-{number}"))
            except httpx.HTTPError:
                return
            if answer.status_code == 200 and "[DONE]" in answer.text:
                answered[f"{text}-{number}"] = time.monotonic()


@contextmanager
def _process(home: Path, at: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "import protege.cli; protege.cli.main()", "gateway", "--port", str(port)]
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [*command, "--home", str(home), "--upstream", f"openai={at}"],
            stdout=output,
            stderr=output,
            env={**os.environ, "NO_COLOR": "1"},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        assert eventually(lambda: _healthy(url), 120, 0.1), "the gateway does not start"
        yield url, process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _healthy(url: str) -> bool:
    try:
        return CLIENT.get(f"{url}/protege/health").status_code == 200
    except httpx.HTTPError:
        return False


def main() -> None:
    options = command_line(__doc__ or "", ("kills", 50), ("each", 20), ("idle", 1000))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "kills").mkdir()
        figures = {
            "faults": faults(options.each, folder / "faults"),
            "idle": idle_streams(options.idle, folder / "idle"),
            "kills": kills(options.kills, folder / "kills"),
        }
    told({**figures, "ok": all(one["ok"] for one in figures.values())}, as_json=options.json)


if __name__ == "__main__":
    main()
