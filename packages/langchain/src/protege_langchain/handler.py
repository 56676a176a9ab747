"""ProtegeCallbackHandler: records an agent's calls, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from protege.adapter import OpenCall, home_path, log_once, recorder_of

from .place import place_of
from .translate import read_generation, request_fields, to_openai

RECORDED = "protege_recorded"
"""In a run's metadata: the model records its own calls (`ChatProtege`), so the handler does not."""

LOST_AFTER_S = 900.0
"""A cancelled `ainvoke` fires neither end nor error. A call this old is recorded as lost."""


class ProtegeCallbackHandler(BaseCallbackHandler):
    """Records every call to a model that runs under it, with the agent's node, run and step.

    home: the workspace's folder; by default PROTEGE_HOME, else `.protege`. It never raises into the agent. Two handlers
    with the same home are equal, so a call is recorded once, however often the handler is attached.
    """

    run_inline = True  # without it, async managers send each event through a thread
    raise_error = False

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home: Path = home_path(home)
        self._open: dict[UUID, OpenCall] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProtegeCallbackHandler) and other.home == self.home

    def __hash__(self) -> int:
        return hash(self.home)

    @property
    def ignore_chain(self) -> bool:
        return True

    @property
    def ignore_agent(self) -> bool:  # the events of tools are events of agents
        return True

    @property
    def ignore_retriever(self) -> bool:
        return True

    def leave(self, run_id: UUID) -> None:
        """Do not record this call, because its model, which is being asked now, records it itself."""
        self._open.pop(run_id, None)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if metadata and RECORDED in metadata:
            return
        try:
            self._start(to_openai(messages[0]), run_id, parent_run_id, metadata or {}, kwargs)
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording a call", error)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        try:
            messages = [{"role": "user", "content": prompts[0]}]
            self._start(messages, run_id, parent_run_id, metadata or {}, kwargs)
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording a call", error)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        if (call := self._open.get(run_id)) is not None:
            call.token()

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        if event["event"] == "content-block-delta" and (call := self._open.get(run_id)) is not None:
            call.token()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        call = self._open.pop(run_id, None)
        if call is None:
            return
        try:
            generation = response.generations[0][0]
            if not _cached(generation):
                call.answered(read_generation(generation, response.llm_output))
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording an answer", error)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        call = self._open.pop(run_id, None)
        if call is None:
            return
        try:
            response: LLMResult | None = kwargs.get("response")
            partial = response.generations[0] if response and response.generations else []
            call.failed(error, read_generation(partial[0]) if partial else None)
        except Exception as trouble:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording an error", trouble)

    def _start(
        self,
        messages: list[dict[str, Any]],
        run_id: UUID,
        parent: UUID | None,
        metadata: Mapping[str, Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        params: dict[str, Any] = kwargs.get("invocation_params") or {}
        fields = request_fields(params)
        if model := metadata.get("ls_model_name") or params.get("model") or params.get("model_name"):
            fields["model"] = model
        self._reap()
        place = place_of(messages, metadata, parent, run_id)
        self._open[run_id] = OpenCall(recorder_of(self.home), messages, fields, place)

    def _reap(self) -> None:
        """Record the oldest call as lost if it is past its time. Each new call checks one, so none waits for ever."""
        try:
            oldest = next(iter(self._open.items()), None)
        except RuntimeError:  # another thread's call came in between; the next one looks
            return
        if oldest and oldest[1].age_s > LOST_AFTER_S and (lost := self._open.pop(oldest[0], None)):
            lost.failed("cancelled: neither an answer nor an error was seen")


def _cached(generation: Generation) -> bool:
    """Whether LangChain's cache answered, so that no request was made. It marks its answers as free."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    used: Any = message.usage_metadata if isinstance(message, AIMessage) else None
    return bool(used) and used.get("total_cost") == 0
