"""The connection to one Ollama server: requests over httpx and the `ollama` package, failures as our own errors."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from ..common.transport import CheckedTransport, until
from ..errors import (
    DoesNotFit,
    EngineBusy,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    MissingDependency,
    NotServed,
    ResourceError,
)
from .address import CONNECT_S
from .owner import check_owner
from .replies import Reply, joined, json_object

if TYPE_CHECKING:
    import ollama


class Connection:
    """HTTP connections to one server. Safe to share among threads, but not among forked processes."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A prompt goes to the address that was set and nowhere else: to no proxy that the environment happens to name,
        # and to no address that the server's answer names.
        self._http = httpx.Client(transport=self._transport(), trust_env=False, follow_redirects=False)

    def close(self) -> None:
        self._http.close()

    def json(self, method: str, path: str, timeout_s: float, body: Any = None) -> dict[str, Any]:
        """The JSON object that the server answers. Raises EngineError for any other answer."""
        content = None if body is None else orjson.dumps(body)
        response = self.request(method, path, timeout_s, content=content)
        if response.status_code != 200:
            raise self.refusal(response.status_code, response.content)
        answer = json_object(response.content)
        if answer is None:
            raise self.stranger()
        return answer

    def request(
        self,
        method: str,
        path: str,
        timeout_s: float,
        *,
        content: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The server's response, whatever its status."""
        with self._translated(timeout_s):
            return self._http.request(
                method, f"{self.url}{path}", content=content, headers=headers, timeout=_timeout(timeout_s)
            )

    def reply(self, path: str, body: Mapping[str, Any], max_tokens: int, timeout_s: float) -> Reply:
        """A model's whole answer, put together from the lines that the server streams within `timeout_s`."""
        begin_s = time.perf_counter()
        parts: list[dict[str, Any]] = []
        for line in self._lines(path, body, begin_s + timeout_s, timeout_s):
            part = json_object(line)
            if part is None:
                raise self.stranger()
            if "error" in part:
                raise self.refusal(200, part["error"])
            parts.append(part)
        if not parts or parts[-1].get("done") is not True:
            raise EngineUnreachable(f"Ollama at {self.url} stopped in the middle of an answer.")
        return joined(parts, max_tokens)

    def within(self, path: str, body: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The JSON object that the server answers, whole within `timeout_s`. Raises EngineError for anything else."""
        answer = b"".join(self._lines(path, body, time.perf_counter() + timeout_s, timeout_s))
        if (read := json_object(answer)) is None:
            raise self.stranger()
        return read

    @contextlib.contextmanager
    def package(self, timeout_s: float) -> Iterator[ollama.Client]:
        """A client of the `ollama` package. Within this context its errors become ours."""
        try:
            import ollama  # an extra, which only managing models needs: asking them must work without it
        except ImportError:
            raise MissingDependency("ollama", "serve") from None
        client = ollama.Client(
            self.url,
            transport=self._transport(),
            timeout=_timeout(timeout_s),
            trust_env=False,
            follow_redirects=False,
        )
        try:
            with self._translated(timeout_s):
                yield client
        except ollama.ResponseError as error:
            said: Any = error.error
            if error.status_code >= 400 and str(said).lstrip().startswith("<"):
                raise self.stranger(error.status_code) from None
            raise self.refusal(error.status_code, said) from None
        except (ValueError, TypeError):  # what came is not Ollama's JSON
            raise self.stranger() from None
        finally:
            client._client.close()  # pyright: ignore[reportPrivateUsage] — it has no other way

    def _transport(self) -> CheckedTransport:
        return CheckedTransport(lambda it: check_owner(it, self.url), limits=httpx.Limits(max_connections=None))

    @contextlib.contextmanager
    def _translated(self, timeout_s: float) -> Iterator[None]:
        """Within this context errors of httpx become ours."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError):
            raise EngineUnreachable(
                f"No Ollama answers at {self.url}.", "Start it (`ollama serve`), or set OLLAMA_HOST."
            ) from None
        except httpx.TimeoutException:
            raise EngineTimeout(f"Ollama at {self.url} did not answer in time ({timeout_s:.1f} s).") from None
        except httpx.HTTPError as error:
            raise EngineUnreachable(f"Ollama at {self.url} went away ({type(error).__name__}).") from None

    def _lines(self, path: str, body: Mapping[str, Any], until_s: float, timeout_s: float) -> Iterator[bytes]:
        """The lines of the answer. Leaving early closes the connection, which stops the work on the server."""
        rest = b""
        with (
            self._translated(timeout_s),
            self._http.stream(
                "POST",
                f"{self.url}{path}",
                content=orjson.dumps(body),
                timeout=_timeout(timeout_s),
                extensions=until(until_s),
            ) as reply,
        ):
            if reply.status_code != 200:
                raise self.refusal(reply.status_code, reply.read())
            for chunk in reply.iter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from filter(None, lines)
        if rest.strip():
            yield rest

    def refusal(self, status: int, said: Any) -> EngineError | ResourceError:
        """The error that the server's answer means. Its own words are left out, because they may quote a call."""
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        if status != 200 and isinstance(said, bytes):
            answer = json_object(said)
            if answer is None or "error" not in answer:
                return self.stranger(status)
            text = str(answer["error"])
        low = text.lower()
        if status == 503 or "server busy" in low:
            return EngineBusy(f"Ollama at {self.url} is busy.", "Raise OLLAMA_MAX_QUEUE, or ask less at once.")
        if status == 404 or ("model" in low and "not found" in low):
            return NotServed(f"Ollama at {self.url} does not have this model.", "`protege serve` brings it back.")
        if "no space left" in low or "disk quota" in low:
            return ResourceError(
                f"The disk of the Ollama at {self.url} is full.", "Free some, or set its OLLAMA_MODELS elsewhere."
            )
        if "context" in low and ("exceed" in low or "longer than" in low):
            return DoesNotFit("The prompt is longer than the model's context in Ollama.")
        kind = next((kind for words, kind in _KINDS.items() if words in low), "no reason that is known")
        return EngineError(f"Ollama at {self.url} refused ({kind}).", "Its log says more.")

    def stranger(self, status: int = 200) -> EngineError:
        """The error for a server that is not Ollama."""
        return EngineError(
            f"What answers at {self.url} is no Ollama (HTTP {status}, not its JSON).",
            "Is a proxy in between? Set OLLAMA_HOST to Ollama itself: redirects and proxies are not followed.",
        )


_KINDS = {
    "digest mismatch": "another digest than was said",
    "invalid digest": "an illegal digest",
    "invalid model name": "an illegal model name",
    "invalid file magic": "not a GGUF file",
    "unexpected eof": "a file that is cut off",
    "unable to load model": "a model that cannot be loaded",
    "unsupported model": "a model of a kind that it does not know",
    "does not support tools": "a template without tools",
    "runner": "the process that runs the model died",
    "terminated": "the process that runs the model died",
    "memory": "too little memory",
    "repeat limit": "the same token over and over",
}
"""What is repeated of the server's words: these parts hold nothing of a call."""


def _timeout(timeout_s: float) -> httpx.Timeout:
    return httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
