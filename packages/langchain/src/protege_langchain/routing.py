"""What a route answers, as LangChain's message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from protege.route import Outcome
from pydantic import BaseModel, ValidationError

from .translate import finish_metadata, from_openai, usage


def shaped(outcome: Outcome, kwargs: Mapping[str, Any], provider: Callable[[], str | None]) -> ChatResult | None:
    """The specialist's answer in the teacher's shape; None where it breaks the class that the agent asked for.

    kwargs: the arguments bound to the model. provider: gives the name of the teacher's, whose words the agent expects
    at the end of an answer.
    """
    assert outcome.message is not None
    message: AIMessage = from_openai(outcome.message)
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
    return ChatResult(generations=[ChatGeneration(message=message)])
