"""A provider for tests and demonstrations: it answers in the dialect that it is asked in, without a network.

provider = ScriptedProvider({"Is it spam?": "yes"})
client = OpenAI(api_key="none", http_client=httpx.Client(transport=httpx.MockTransport(provider)))
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from protege.adapter import Reply, dialect_at, loads, request_from
from protege.testing import Answers, answer_to, tokens_of


class ScriptedProvider:
    """Answers from `answers`: by the last message's text, or by a function of the whole `protege.Request`.

    An answer is a text, an assistant message in OpenAI chat form, or an error to raise. It is a handler for
    `httpx.MockTransport`, synchronous or not, and for its fork's. `asked` has the requests as they came. What it has no
    dialect for is answered with 404. Raises KeyError if a mapping holds no answer.
    """

    def __init__(self, answers: Answers) -> None:
        self.asked: list[Any] = []
        self._answers = answers

    def __call__(self, request: Any) -> Any:
        library: Any = sys.modules[type(request).__module__.partition(".")[0]]
        self.asked.append(request)
        dialect = dialect_at(request.method, request.url.path).dialect
        if dialect is None:
            return library.Response(404, json={"error": {"message": "no such path", "type": "not_found_error"}})
        asked = dialect.asked(request.url.path, dict(request.url.params), loads(request.content))
        read = request_from(asked.record)
        message: Mapping[str, Any] = answer_to(read, self._answers)
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        reply = Reply(message, reason, None, *tokens_of(read, message))
        parts = dialect.parts(reply, asked)
        return library.Response(200, headers={"content-type": dialect.content_type(asked)}, content=b"".join(parts))
