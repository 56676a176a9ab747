"""What a route answers, as LangChain's message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from langchain_core.messages import AIMessage
from protege.call import Message, Request
from protege.route import Outcome
from pydantic import BaseModel, ValidationError

from .capture import OpenCall
from .translate import finish_metadata, from_openai, usage

Provider: TypeAlias = Callable[[], str | None]


class Answerer(Protocol):
    """Who answers in a teacher's place: `protege.route.Router`, or a stand-in in a test."""

    def answer(self, request: Request, run: str | None = None) -> Outcome: ...
    async def aanswer(self, request: Request, run: str | None = None) -> Outcome: ...


def kept_answer(call: OpenCall, outcome: Outcome, kwargs: Mapping[str, Any], provider: Provider) -> AIMessage | None:
    """The specialist's answer in the teacher's shape, None where the teacher must answer; noted in the call either way.

    kwargs: the arguments bound to the model. provider: gives the name of the teacher's, whose words
    the agent expects at the end of an answer.
    """
    attempt, decision = outcome.attempt, str(outcome.decision)
    message = None
    if outcome.message is not None:
        message = _message(outcome, outcome.message, kwargs, provider)
        if message is None:
            decision = "invalid structure"
            attempt = attempt and replace(attempt, outcome="failed", reason="breaks the class that the agent asked for")
    call.attempted(attempt, decision)
    return message


def _message(outcome: Outcome, said: Message, kwargs: Mapping[str, Any], provider: Provider) -> AIMessage | None:
    message = from_openai(said)
    asked = kwargs.get("response_format")
    if isinstance(asked, type) and issubclass(asked, BaseModel):
        # langchain-openai's parser takes the object from here; it does not parse the text again.
        try:
            message.additional_kwargs["parsed"] = asked.model_validate_json(str(message.content))
        except ValidationError:
            return None
    message.response_metadata = {
        "model_name": outcome.specialist,
        "model_provider": "protege",
        **finish_metadata(provider(), bool(message.tool_calls)),
    }
    if outcome.input_tokens is not None or outcome.output_tokens is not None:
        message.usage_metadata = usage(outcome.input_tokens, outcome.output_tokens)
    return message
