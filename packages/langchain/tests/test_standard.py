"""LangChain's own conformance suites, on ChatProtege around a real ChatOpenAI that talks to a server on loopback.

Each runs twice: with the teacher answering, and with a specialist answering every call.
"""

# pyright: reportAssignmentType=false

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from openai_server import OpenAIServer, wanted
from protege.call import Attempt, Request
from protege.route import Outcome
from protege_langchain import ChatProtege


class ChatProtegeOpenAI(ChatProtege):
    """ChatProtege made from the parameters that the suites hand to a model's class."""

    def __init__(self, home: str | os.PathLike[str], router: Any = None, **params: Any) -> None:
        super().__init__(ChatOpenAI(**params), home, router=router)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """The suite loads with `allowed_objects="all"`, which are LangChain's own; test_chat.py has a test of this."""
        return False


class AnswersAll:
    """A route whose specialist answers every call, as the server would."""

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        asked = {
            "messages": list(request.messages),
            "tools": list(request.tools),
            "tool_choice": request.tool_choice,
            "response_format": request.response_format,
        }
        attempt = Attempt("s1", "kept", "confident", 0.99, 1.0)
        message = {"role": "assistant", **wanted(asked)}
        return Outcome(message, attempt, "kept", "all-v1", "s1", "t1", input_tokens=11, output_tokens=7)

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        return self.answer(request)


class _Model:
    """Teacher and home of the suites."""

    router: Any = None

    @pytest.fixture(autouse=True)
    def _surroundings(self, openai_server: OpenAIServer, tmp_path: Path) -> None:
        self._server = openai_server
        self._params = {"base_url": openai_server.url, "api_key": "none", "model": "large", "stream_usage": True}
        self._home = tmp_path

    @property
    def chat_model_class(self) -> type[ChatProtege]:
        return ChatProtegeOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**self._params, "home": self._home, "router": self.router}


class TestUnit(_Model, ChatModelUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"OPENAI_API_KEY": "none"}, {"model": "large", "home": self._home}, {"openai_api_key": "none"}


class TestIntegration(_Model, ChatModelIntegrationTests):
    supports_json_mode = True  # image inputs stay off: their tests download pictures  # pyright: ignore[reportIncompatibleMethodOverride]
    model_override_value = "larger"  # pyright: ignore[reportIncompatibleMethodOverride]


class TestUnitRouted(TestUnit):
    router = AnswersAll()


class TestIntegrationRouted(TestIntegration):
    """What the suite asks about the model's name is asked of the model that was overridden; a specialist is another."""

    router = AnswersAll()
    supports_model_override = False  # pyright: ignore[reportIncompatibleMethodOverride]

    @pytest.fixture(autouse=True)
    def _not_asked(self, _surroundings: None) -> Any:
        yield
        assert self._server.exchanges == [], "the teacher was asked"
