"""The messages of a span in OpenAI chat form, from each convention: OpenTelemetry's of today (parts) and up to v1.36
(events), OpenLLMetry's (`gen_ai.prompt.0.content`), and OpenInference's (`llm.input_messages.0.message.content`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from ...common.messages import json_in, text_in
from ...dialects.bodies import answer_told
from ...dialects.reading import is_request, request_of
from ...dialects.reading import tools_of as tools_in
from .base import Record, without_nothing


def from_parts(attributes: Mapping[str, Any]) -> Record | None:
    """`messages`, `response` and `finish_reason` from `gen_ai.input.messages` and its kin; None if there are none.

    Of several answers, the first is taken.
    """
    asked = json_in(attributes.get("gen_ai.input.messages"))
    if not asked:
        return None
    instructions = text_in(json_in(attributes.get("gen_ai.system_instructions")))
    system = [{"role": "system", "content": instructions}] if instructions else []
    answers = json_in(attributes.get("gen_ai.output.messages")) or []
    return {
        "messages": [*system, *asked],
        "response": {"role": "assistant", **answers[0]} if answers else None,
        "finish_reason": answers[0].get("finish_reason") if answers else None,
    }


def from_events(events: Iterable[tuple[str, Mapping[str, Any]]]) -> Record | None:
    """The same from the events `gen_ai.<role>.message` and `gen_ai.choice`; None if there are none."""
    messages: list[Record] = []
    response = reason = None
    for name, attributes in events:
        # Some instrumentations put the event's body into one attribute.
        body = {**attributes, **(json_in(attributes.get("gen_ai.event.content")) or {})}
        if name == "gen_ai.choice" and response is None:
            message = json_in(body.get("message"))
            response = _plain("assistant", message if isinstance(message, Mapping) else {**body, "content": message})
            reason = body.get("finish_reason")
        elif name in _ROLE_OF_EVENT:
            messages.append(_plain(_ROLE_OF_EVENT[name], body))
    return {"messages": messages, "response": response, "finish_reason": reason} if messages else None


def from_openllmetry(attributes: Mapping[str, Any]) -> Record | None:
    """The same, and the tools, from OpenLLMetry's numbered attributes."""
    asked = _listed(attributes, "gen_ai.prompt")
    if not asked:
        return None
    answers = _listed(attributes, "gen_ai.completion")
    answer = _plain("assistant", answers[0]) if answers else None
    return {
        "messages": [_plain("user", message) for message in asked],
        "response": answer,
        "finish_reason": answers[0].get("finish_reason") if answers else None,
        "tools": [_function(tool) for tool in _listed(attributes, "llm.request.functions")],
    }


def from_openinference(attributes: Mapping[str, Any]) -> Record | None:
    """The same from OpenInference's: numbered attributes, or the lists that Phoenix makes of them."""
    asked = _listed(attributes, "llm.input_messages")
    if not asked:
        prompt = attributes.get("input.value")
        if attributes.get("openinference.span.kind") != "LLM" or not isinstance(prompt, str):
            return None
        if json_in(prompt) != prompt:
            return _of_values(json_in(prompt), attributes.get("output.value"))
        asked = [{"role": "user", "content": prompt}]
    answers = _listed(attributes, "llm.output_messages")
    if not answers and _is_words(said := attributes.get("output.value")):
        answers = [{"role": "assistant", "content": said}]
    told = json_in(attributes.get("llm.invocation_parameters"))
    parameters: Mapping[str, Any] = cast(Mapping[str, Any], told) if isinstance(told, Mapping) else {}
    tools = [json_in(_inner(tool, "tool").get("json_schema")) for tool in _listed(attributes, "llm.tools")]
    return {
        "messages": [_inference_message("user", message) for message in asked],
        "response": _inference_message("assistant", answers[0]) if answers else None,
        "finish_reason": attributes.get("llm.finish_reason"),
        "tools": tools_in({"tools": tools}) if all(isinstance(tool, Mapping) for tool in tools) else [],
        "invocation": {key: value for key, value in parameters.items() if key not in ("messages", "contents", "tools")},
    }


def tools_of(attributes: Mapping[str, Any]) -> list[Any]:
    """The tools of `gen_ai.tool.definitions` in OpenAI's form."""
    return tools_in({"tools": [json_in(tool) for tool in json_in(attributes.get("gen_ai.tool.definitions")) or ()]})


_ROLE_OF_EVENT = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}


def _of_values(asked: Any, answer: Any) -> Record | None:
    """A provider's request and its answer, as they were sent; None if they are something else."""
    if not is_request(asked):
        return None
    told = answer_told(answer) if answer else {}
    kept = ("response", "finish_reason", "usage")
    return {**request_of(asked), **{name: told[name] for name in kept if name in told}}


def from_vercel(attributes: Mapping[str, Any]) -> Record | None:
    """The same from the AI SDK's telemetry: the innermost spans, `ai.generateText.doGenerate` and their kin."""
    asked = json_in(attributes.get("ai.prompt.messages"))
    if not isinstance(asked, list):
        return None
    text = attributes.get("ai.response.text") or attributes.get("ai.response.object")
    calls = json_in(attributes.get("ai.response.toolCalls"))
    tools = attributes.get("ai.prompt.tools")
    listed = [json_in(tool) for tool in cast(list[Any], tools)] if isinstance(tools, list) else []
    return {
        "messages": asked,
        "response": {"role": "assistant", "content": text, "tool_calls": calls} if text or calls else None,
        "finish_reason": attributes.get("ai.response.finishReason"),
        "tools": tools_in({"tools": [_of_vercel(tool) for tool in listed if isinstance(tool, Mapping)]}),
    }


def _of_vercel(tool: Mapping[str, Any]) -> Record:
    schema = tool.get("inputSchema", tool.get("parameters"))
    return {**{name: value for name, value in tool.items() if name != "inputSchema"}, "parameters": schema}


def _is_words(value: Any) -> bool:
    """Whether a value is a text, and no JSON."""
    return isinstance(value, str) and json_in(value) is value


def _plain(role: str, body: Mapping[str, Any]) -> Record:
    """A message that is in chat form already, except that its values may be written as JSON text."""
    content = body.get("content")
    structured = json_in(content)
    if isinstance(structured, list) and all(
        isinstance(part, Mapping) and "type" in part for part in cast(Any, structured)
    ):
        content = structured
    elif not isinstance(content, str | list):
        content = None if content is None else text_in(content)
    calls = json_in(body.get("tool_calls"))
    rest = without_nothing(
        {
            "tool_calls": [_flat(json_in(call)) for call in _in_order(calls)] if calls else None,
            "tool_call_id": body.get("tool_call_id") or (body.get("id") if body.get("role", role) == "tool" else None),
        }
    )
    return {"role": body.get("role") or role, "content": content, **rest}


def _flat(call: Any) -> Any:
    """A call whose function may be written as JSON text."""
    return {**call, "function": json_in(call["function"])} if isinstance(call, Mapping) and "function" in call else call


def _function(tool: Mapping[str, Any]) -> Record:
    function = {"name": tool.get("name"), "description": tool.get("description")}
    return {
        "type": "function",
        "function": without_nothing({**function, "parameters": json_in(tool.get("parameters"))}),
    }


def _inference_message(role: str, held: Mapping[str, Any]) -> Record:
    message = _inner(held, "message")
    contents = [_inference_part(_inner(part, "message_content")) for part in _in_order(message.get("contents") or ())]
    calls = [_inner(call, "tool_call") for call in _in_order(message.get("tool_calls") or ())]
    if name := message.get("function_call_name"):
        calls.append({"function": {"name": name, "arguments": message.get("function_call_arguments_json") or "{}"}})
    return without_nothing(
        {
            "role": message.get("role") or role,
            "content": message.get("content") or contents or None,
            "tool_calls": calls,
            "tool_call_id": message.get("tool_call_id"),
            "name": message.get("name"),
        }
    )


def _inference_part(part: Mapping[str, Any]) -> Any:
    if part.get("type") != "image":
        return part
    image = _inner(_inner(part, "image"), "image")
    return {"type": "image_url", "image_url": {"url": image.get("url")}}


def _inner(held: Any, name: str) -> Mapping[str, Any]:
    """The object under this name, if that is all that is held; its names may begin with it."""
    held = cast(Mapping[str, Any], held) if isinstance(held, Mapping) else {}
    inner = held.get(name)
    return cast(Mapping[str, Any], inner) if isinstance(inner, Mapping) else held


def _listed(attributes: Mapping[str, Any], prefix: str) -> Sequence[Any]:
    """The list that stands under a prefix: numbered attributes, or a list of objects, as JSON text too."""
    held = json_in(attributes.get(prefix))
    if held is None:
        start = f"{prefix}."
        held = _tree({key[len(start) :]: value for key, value in attributes.items() if key.startswith(start)})
    elif isinstance(held, list):
        held = [_tree(cast(Any, item)) if isinstance(item, Mapping) else item for item in cast(list[Any], held)]
    return _in_order(held)


def _tree(flat: Mapping[str, Any]) -> Record:
    """Objects in place of names with dots."""
    tree: Record = {}
    for path, value in flat.items():
        *above, last = str(path).split(".")
        place = tree
        for name in above[:20]:
            inner = place.get(name)
            place = place.setdefault(name, {}) if isinstance(inner, dict) or inner is None else {}
        place[last] = (
            [_tree(item) if isinstance(item, Mapping) else item for item in value] if isinstance(value, list) else value
        )
    return tree


def _in_order(held: Any) -> Sequence[Any]:
    """The items of a list, or of an object whose names are the places in one."""
    if isinstance(held, Mapping):
        numbered = sorted(
            (int(key), value) for key, value in cast(Mapping[str, Any], held).items() if str(key).isdecimal()
        )
        return [value for _, value in numbered]
    return cast(Sequence[Any], held) if isinstance(held, list | tuple) else ()
