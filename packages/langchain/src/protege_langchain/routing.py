"""A specialist's answer as LangChain's message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from protege.adapter import Message, Outcome, json_text
from pydantic import BaseModel, ValidationError

from .translate import finish_metadata, from_openai, usage


def shaped(
    outcome: Outcome, kwargs: Mapping[str, Any], provider: str | None, *, in_blocks: bool = False
) -> ChatResult | None:
    """The specialist's answer in the teacher's shape; None if it breaks the class that the agent asked for.

    kwargs: the arguments bound to the model. provider: the name of the teacher's provider, in whose words the agent
    expects the end of an answer. in_blocks: see `answers_in_blocks`.
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
    if in_blocks:
        message.content = _blocks(outcome.message)
    message.response_metadata = {
        "model_name": outcome.specialist,
        "model_provider": "protege",
        **finish_metadata(provider, bool(message.tool_calls)),
    }
    if outcome.input_tokens is not None or outcome.output_tokens is not None:
        message.usage_metadata = usage(outcome.input_tokens, outcome.output_tokens)
    return ChatResult(generations=[ChatGeneration(message=message)])


def answers_in_blocks(teacher: BaseChatModel, kwargs: Mapping[str, Any]) -> bool:
    """Whether langchain-openai asks OpenAI's Responses API and so returns answers as a list of blocks.

    If the output version is "v1", LangChain itself makes the blocks from a text; "v0" is a text. If langchain-openai
    has changed, any error is raised: then the shape is unknown, and the teacher must answer.
    """
    model: Any = teacher
    if not hasattr(model, "_use_responses_api") or model.output_version in ("v0", "v1"):
        return False
    return bool(model._use_responses_api({**model._default_params, **kwargs}))


def _blocks(answer: Message) -> list[str | dict[Any, Any]]:
    """Blocks like the Responses API's, but without ids: if sent back, the provider would look for them among its
    own."""
    text = answer.get("content")
    blocks: list[str | dict[Any, Any]] = [{"type": "text", "text": text, "annotations": []}] if text else []
    return blocks + [
        {
            "type": "function_call",
            "call_id": call.get("id"),
            "name": call["function"]["name"],
            "arguments": json_text(call["function"]["arguments"]),
            "status": "completed",
        }
        for call in answer.get("tool_calls") or ()
    ]
