"""LangChain's own conformance suites, on ChatProtege around a real ChatOpenAI that talks to a server on loopback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from protege_langchain import ChatProtege


class ChatProtegeOpenAI(ChatProtege):
    """ChatProtege made from the parameters that the suites hand to a model's class."""

    def __init__(self, home: str | os.PathLike[str], **params: Any) -> None:
        super().__init__(ChatOpenAI(**params), home)


class _Model:
    """Teacher and home of both suites."""

    @pytest.fixture(autouse=True)
    def _surroundings(self, endpoint: str, tmp_path: Path) -> None:
        self._params = {"base_url": endpoint, "api_key": "none", "model": "large", "stream_usage": True}
        self._home = tmp_path

    @property
    def chat_model_class(self) -> type[ChatProtege]:
        return ChatProtegeOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**self._params, "home": self._home}


class TestUnit(_Model, ChatModelUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"OPENAI_API_KEY": "none"}, {"model": "large", "home": self._home}, {"openai_api_key": "none"}


class TestIntegration(_Model, ChatModelIntegrationTests):
    supports_json_mode = True  # image inputs stay off: their tests download pictures
    model_override_value = "larger"
