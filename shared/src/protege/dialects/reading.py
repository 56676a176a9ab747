"""Requests and answers as providers' APIs take and give them: OpenAI (chat and Responses), Anthropic, Gemini, Bedrock,
Ollama. What their messages hold is the matter of `common.messages`; here stands what is around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ..chat.openai import sampling, schema_format, tool_choice
from ..chat.streams import assemble
from ..common.messages import answer_from, text_in
from ..common.reasons import reason_of
from ..common.tool_calls import KINDS
from ..errors import BadCall
from .own_tools import without_secrets
from .record import Record, object_of, without_nothing
from .streamed import OWN_CALLS, is_chat_stream, usage_of, whole

_SYSTEM = ("system", "systemInstruction", "system_instruction", "instructions")
_TURNS = ("messages", "contents", "input", "prompt")
ENUM = "text/x.enum"
"""Gemini's media type of an answer that is one of a few texts, which is no JSON."""
_REASONS = ("stop_reason", "finish_reason", "finishReason")
_UNFINISHED = ("queued", "in_progress")
_STOPPED = ("failed", "cancelled")
_OPTIONS = ("generationConfig", "generation_config", "inferenceConfig", "options", "parameters")
_RENAMED = {
    "max_output_tokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "maxTokens": "max_tokens",
    "num_predict": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "stop_sequences": "stop",
    "stopSequences": "stop",
}


def is_request(body: Any) -> bool:
    """Whether this is what some provider's API takes."""
    return isinstance(body, Mapping) and any(body.get(name) for name in _TURNS)


def request_of(body: Any) -> Record:
    """`messages`, `tools`, `tool_choice`, `response_format`, `parameters` and `model` of a request. Raises BadCall."""
    body = object_of(body)
    turns = next((body[name] for name in _TURNS if body.get(name)), None)
    if turns is None:
        raise BadCall(f"a request without messages (its fields: {', '.join(map(str, body))[:200]}).")
    system = "".join(text_in(_parts(body[name])) for name in _SYSTEM if body.get(name))
    messages = [{"role": "system", "content": system}] if system else []
    return without_nothing(
        {
            "messages": [*messages, *_conversation(turns)],
            "tools": tools_of(body),
            **options_of(body),
            "model": body.get("model") or body.get("modelId"),
        }
    )


def options_of(body: Mapping[str, Any]) -> Record:
    """`tool_choice`, `response_format` and `parameters` of a request."""
    return {
        "tool_choice": _choice(body),
        "response_format": _response_format(body),
        "parameters": _parameters(body),
    }


def response_of(body: Any) -> Record:
    """`response`, `finish_reason`, `usage`, `answered_by` and `id` of an answer: a whole one, a list of a stream's
    chunks, or a list of answers, of which the first is taken. Raises BadCall if it is in no known form."""
    if isinstance(body, str):
        return {"response": {"role": "assistant", "content": body}}
    if isinstance(body, list | tuple):
        return _of_several(cast(Sequence[Any], body))
    body = object_of(body)
    if (error := body.get("error")) and not body.get("choices"):
        return {"error": text_in(cast(Any, error).get("message") if isinstance(error, Mapping) else error)[:500]}
    message, reason = _answer(body)
    said = None if message is None else answer_from(message)
    if said is not None and said.get("tool_calls") and reason_of(reason) == "stop":
        reason = "tool_calls"  # Gemini and Ollama have no word for it
    time = body.get("created") or body.get("created_at")
    return without_nothing(
        {
            "response": said,
            "finish_reason": reason,
            "usage": usage_of(body),
            "answered_by": body.get("model") or body.get("modelVersion") or body.get("model_version"),
            "id": body.get("id") or body.get("responseId"),
            "time": time if isinstance(time, int | float) else None,
        }
    )


def tools_of(body: Mapping[str, Any]) -> list[Any]:
    """The tools of a request in OpenAI's form; a provider's own stay as they are."""
    config = body.get("toolConfig")
    listed = body.get("tools") or (cast(Any, config).get("tools") if isinstance(config, Mapping) else None) or ()
    return [tool for given in cast(Sequence[Any], listed) for tool in _tools(given)]


def _parts(value: Any) -> Any:
    """The parts of a system text: Gemini has them in an object."""
    return cast(Any, value).get("parts") if isinstance(value, Mapping) and "parts" in value else value


def _conversation(turns: Any) -> list[Any]:
    if isinstance(turns, str | Mapping):
        turns = [turns]
    written: list[Any] = []
    for turn in cast(Sequence[Any], turns):
        if isinstance(turn, str):
            turn = {"role": "user", "content": turn}
        elif isinstance(turn, Mapping) and "parts" in turn and not turn.get("role"):
            turn = {"role": "user", **cast(Mapping[str, Any], turn)}
        if isinstance(turn, Mapping) and cast(Any, turn).get("type") in ("reasoning", "item_reference"):
            continue
        if _is_item(turn) and written and _is_item(written[-1][-1]):
            written[-1].append(turn)  # OpenAI's Responses have an item for each of the calls of one answer
        else:
            written.append([turn])
    return [_joined(items) for items in written]


def _is_item(turn: Any) -> bool:
    return isinstance(turn, Mapping) and "role" not in turn and cast(Any, turn).get("type") in KINDS


def _joined(items: list[Any]) -> Any:
    return {"role": "assistant", "content": items} if _is_item(items[0]) else items[0]


def _tools(given: Any) -> Iterator[Any]:
    if not isinstance(given, Mapping):
        return
    tool = cast(Mapping[str, Any], given)
    for declared in tool.get("functionDeclarations") or tool.get("function_declarations") or ():
        schema = declared.get("parameters") or declared.get("parametersJsonSchema")
        yield _function(declared, schema)
    spec = tool.get("toolSpec")
    if isinstance(spec, Mapping):
        yield _function(spec, cast(Any, spec).get("inputSchema", {}).get("json"))
    elif "input_schema" in tool:
        yield _function(tool, tool["input_schema"])
    elif tool.get("type") == "function" and "function" not in tool:
        yield _function(tool, tool.get("parameters"))
    elif not {"functionDeclarations", "function_declarations"} & tool.keys():
        yield dict(tool) if "function" in tool else without_secrets(tool)


def _function(tool: Mapping[str, Any], schema: Any) -> Record:
    named = {name: tool[name] for name in ("name", "description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": {**named, **({} if schema is None else {"parameters": schema})}}


def _choice(body: Mapping[str, Any]) -> Any:
    config = body.get("toolConfig") or body.get("tool_config")
    choice = body.get("tool_choice")
    if choice is None and isinstance(config, Mapping) and isinstance(cast(Any, config).get("toolChoice"), Mapping):
        return _bedrock_choice(cast(Any, config)["toolChoice"])
    if choice is None and isinstance(config, Mapping):
        choice = _geminis_choice(cast(Mapping[str, Any], config))
    if isinstance(choice, Mapping) and "function" not in choice and cast(Any, choice).get("type") == "function":
        choice = {"type": "function", "function": {"name": cast(Any, choice).get("name")}}
    return tool_choice(choice)


def _bedrock_choice(choice: Mapping[str, Any]) -> Any:
    """`{"auto": {}}`, `{"any": {}}` or `{"tool": {"name": …}}`."""
    tool = choice.get("tool")
    if isinstance(tool, Mapping):
        return tool_choice({"type": "tool", "name": cast(Any, tool).get("name")})
    return tool_choice(next(iter(choice), None))


def _geminis_choice(config: Mapping[str, Any]) -> Any:
    calling = config.get("functionCallingConfig") or config.get("function_calling_config") or {}
    names = calling.get("allowedFunctionNames") or calling.get("allowed_function_names") or ()
    mode = str(calling.get("mode") or "").lower()
    if mode == "any" and len(names) == 1:
        return str(names[0])
    return mode if mode in ("any", "none") else None


def _response_format(body: Mapping[str, Any]) -> Any:
    if isinstance(asked := body.get("response_format"), Mapping):
        return asked
    text: Any = body.get("text")
    if isinstance(text, Mapping) and isinstance(form := cast(Any, text).get("format"), Mapping):
        form = cast(Mapping[str, Any], form)
        if form.get("type") == "json_schema":
            return {"type": "json_schema", "json_schema": {k: v for k, v in form.items() if k != "type"}}
        return None if form.get("type") == "text" else form
    config: Any = body.get("generationConfig") or body.get("generation_config") or {}
    kind = config.get("responseMimeType") or config.get("response_mime_type")
    schema = config.get("responseSchema") or config.get("responseJsonSchema") or config.get("response_schema")
    if kind == ENUM:
        return {"type": "enum", "schema": schema}
    if kind == "application/json":
        return schema_format("answer", schema) if schema else {"type": "json_object"}
    config = body.get("output_config") or body  # Anthropic
    if isinstance(form := config.get("format", config.get("output_format")), Mapping) and form.get("schema"):
        return schema_format("answer", cast(Any, form)["schema"])
    if (form := body.get("format")) == "json":  # Ollama
        return {"type": "json_object"}
    return schema_format("answer", cast(Any, form)) if isinstance(form, Mapping) and form else None


def _parameters(body: Mapping[str, Any]) -> Record:
    options = dict(body)
    for name in _OPTIONS:
        if isinstance(held := body.get(name), Mapping):
            options |= cast(Any, held)
    renamed = {_RENAMED.get(name, name): value for name, value in options.items()}
    top_k = renamed.get("top_k")
    return {**sampling(renamed), **({"top_k": top_k} if isinstance(top_k, int) else {})}


def _answer(body: Mapping[str, Any]) -> tuple[Any, Any]:
    """The message of an answer in some provider's form, and why it ended."""
    if choices := body.get("choices"):
        choice = _first(choices)
        message = choice.get("message") or choice.get("delta")
        return ({"role": "assistant", "content": choice.get("text")} if message is None else message), choice.get(
            "finish_reason"
        )
    if candidates := body.get("candidates"):
        candidate = _first(candidates)
        return candidate.get("content"), candidate.get("finishReason") or candidate.get("finish_reason")
    output = body.get("output")
    if isinstance(output, Mapping) and "message" in output:  # Bedrock
        return cast(Any, output)["message"], body.get("stopReason")
    if isinstance(output, list) and (body.get("object") == "response" or "status" in body):
        return _of_items(cast(list[Any], output), body)
    done = body.get("done_reason") or ("stop" if body.get("done") is True else None)  # older ones tell no reason
    if isinstance(message := body.get("message"), Mapping):  # Ollama, Cohere
        return message, done or body.get("finish_reason")
    if isinstance(text := body.get("response"), str) and "done" in body:  # Ollama's generate
        return {"role": "assistant", "content": text}, done
    reason = next((body[name] for name in _REASONS if body.get(name)), None)
    if isinstance(text := body.get("text"), str) and "content" not in body:  # what Vercel's SDK and Cohere's first give
        calls = body.get("toolCalls") or body.get("tool_calls")
        return {"role": "assistant", "content": text, "tool_calls": calls}, reason
    return body, reason


def _first(answers: Sequence[Any]) -> Mapping[str, Any]:
    """The first of several answers: they may come in any order."""
    return object_of(next((each for each in answers if isinstance(each, Mapping) and not _index(each)), answers[0]))


def _index(answer: Any) -> Any:
    return cast(Mapping[str, Any], answer).get("index")


def _of_items(items: list[Any], body: Mapping[str, Any]) -> tuple[Any, Any]:
    """The answer of OpenAI's Responses: texts and calls are items, and so are reasoning and what OpenAI's own tools
    did. One that is not finished has no reason, and none that says nothing is an answer."""
    parts: list[Any] = []
    for item in items:
        if item.get("type") == "message":
            parts += item.get("content") or ()
        elif _is_item(item):
            parts.append(item)
        elif item.get("type") in OWN_CALLS:
            raise BadCall(f"an answer that calls OpenAI's own tool ({item['type']}), which is not read")
    details = body.get("incomplete_details")
    reason = cast(Any, details).get("reason") if isinstance(details, Mapping) else None
    status = body.get("status")
    message = {"role": "assistant", "content": parts}
    if status in _UNFINISHED or status in _STOPPED:
        return (message if parts else None), (status if status in _STOPPED else None)
    return message, reason or ("tool_calls" if any(map(_is_item, parts)) else "stop")


def pending(body: Mapping[str, Any]) -> str | None:
    """Why an answer of OpenAI's Responses is none yet, or will never be one: its status. None of any other."""
    status = body.get("status")
    return str(status) if "output" in body and (status in _UNFINISHED or status in _STOPPED) else None


def _of_several(body: Sequence[Any]) -> Record:
    if not body:
        raise BadCall("response is an empty list.")
    if len(body) == 1 and isinstance(body[0], str):
        return response_of(body[0])
    if not all(isinstance(item, Mapping) for item in body):
        raise BadCall("response is a list, but not of stream chunks or answers.")
    items = cast(Sequence[Mapping[str, Any]], body)
    if not is_chat_stream(items):
        return response_of(whole(items))
    message, reason, usage = assemble(items)
    model = next((item["model"] for item in items if item.get("model")), None)
    return without_nothing({"response": message, "finish_reason": reason, "usage": usage, "answered_by": model})
