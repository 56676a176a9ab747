"""The same 200 calls written in every form of files that can hold them, and what each form loses.

`RECORDS` are the calls in our own form: labels, JSON and tool calls. `FORMS` writes each in another's form, after the
documents of each project; what `lost` names is missing in what comes back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
START = 1_760_000_000.0
SCHEMA = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
TOOL = {"type": "function", "function": {"name": "track", "description": "Where a parcel is.", "parameters": SCHEMA}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
THINGS = ("kettle", "lamp", "ladder", "tent", "drill", "mirror", "carpet", "clock", "heater", "bucket", "rope")
TROUBLES = ("is late", "arrived broken", "was charged twice", "has no manual", "does not switch on", "is too small")
QUEUES = ("shipping", "returns", "billing", "support", "support", "returns")


def _asked(i: int) -> str:
    return f"The {THINGS[i % 11]} of order {1000 + 7 * i} {TROUBLES[i % 6]}, since day {i % 13} of month {i % 12 + 1}."


def _label(i: int) -> Record:
    messages = [{"role": "system", "content": "Name the queue of the ticket."}, {"role": "user", "content": _asked(i)}]
    return {"messages": messages, "response": {"role": "assistant", "content": QUEUES[i % 6]}, "finish_reason": "stop"}


def _json(i: int) -> Record:
    messages = [{"role": "system", "content": "Extract the order as JSON."}, {"role": "user", "content": _asked(i)}]
    answer = {"role": "assistant", "content": json.dumps({"order": 1000 + 7 * i})}
    return {"messages": messages, "response": answer, "response_format": FORMAT, "finish_reason": "stop"}


def _use(i: int, call_id: str) -> Record:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "track", "arguments": f'{{"order":{1000 + 7 * i}}}'},
    }


def _tool(i: int) -> Record:
    messages: list[Record] = [
        {"role": "system", "content": "You help customers. Track parcels."},
        {"role": "user", "content": _asked(i)},
    ]
    if i % 2:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [_use(i - 1, f"call_a{i}")]},
            {"role": "tool", "content": f'{{"parcel":{i}}}', "tool_call_id": f"call_a{i}"},
        ]
    answer = {"role": "assistant", "content": None, "tool_calls": [_use(i, f"call_{i}")]}
    return {"messages": messages, "response": answer, "tools": [TOOL], "finish_reason": "tool_calls"}


def _record(i: int) -> Record:
    said = (_label, _label, _json, _tool)[i % 4](i)
    usage = {"input_tokens": 40 + i, "output_tokens": 3, "cache_read_tokens": i % 4}
    times = {"time": START + 60 * i, "latency_ms": 500.0 + i, "ttft_ms": 100.0}
    return {
        "id": f"{i:016x}", **said, "model": "gpt-x", "answered_by": "gpt-x", "run": f"run{i // 2}", "usage": usage,
        "parameters": {"temperature": 0.5, "max_tokens": 50}, "node": ["step"], "cost_usd": 0.001, **times,
    }  # fmt: skip


RECORDS = tuple(_record(i) for i in range(200))


@dataclass(frozen=True)
class Form:
    """How calls are written in a form of files."""

    name: str
    """Its name in the registry."""
    files: Callable[[Sequence[Record]], list[list[Any]]]
    """The documents of each file."""
    lost: frozenset[str] = frozenset()
    """The fields of a record that the form has no place for."""
    tool_ids: bool = True
    """Whether it tells tool calls apart by ids."""


def expected(record: Record, form: Form) -> Record:
    """What is left of a call in a form."""
    left = {name: value for name, value in record.items() if name not in form.lost}
    if "cache" in form.lost and "usage" in left:
        left["usage"] = {name: left["usage"][name] for name in ("input_tokens", "output_tokens")}
    if not form.tool_ids:
        left["messages"] = [_without_ids(message) for message in left["messages"]]
        left["response"] = _without_ids(left["response"])
    return left


def _without_ids(message: Mapping[str, Any]) -> Record:
    plain = {name: value for name, value in message.items() if name != "tool_call_id"}
    if plain.get("tool_calls"):
        plain["tool_calls"] = [{**call, "id": None} for call in plain["tool_calls"]]
    return plain


def _iso(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _times(record: Record) -> tuple[str, str, str]:
    """Start, end, and first token."""
    began = record["time"]
    return _iso(began), _iso(began + record["latency_ms"] / 1000), _iso(began + record["ttft_ms"] / 1000)


def _chat_usage(record: Record) -> Record:
    used = record["usage"]
    details = {"prompt_tokens_details": {"cached_tokens": used["cache_read_tokens"]}}
    return {"prompt_tokens": used["input_tokens"], "completion_tokens": used["output_tokens"], **details}


def _chat_request(record: Record) -> Record:
    asked = {name: record[name] for name in ("model", "messages", "tools", "response_format") if name in record}
    return {**asked, **record["parameters"]}


def _chat_answer(record: Record) -> Record:
    choice = {"index": 0, "message": record["response"], "finish_reason": record["finish_reason"]}
    return {"id": record["id"], "object": "chat.completion", "model": record["answered_by"], "choices": [choice],
            "usage": _chat_usage(record)}  # fmt: skip


def _calls_in(message: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    calls = message.get("tool_calls") or ()
    return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]


def _told(record: Record) -> Record:
    """What a line with request and response tells beside these."""
    names = ("id", "run", "node", "time", "latency_ms", "ttft_ms", "cost_usd")
    return {name: record[name] for name in names}


def _pairs(asked: Callable[[Record], Record], answer: Callable[[Record], Record]) -> Callable[..., list[list[Any]]]:
    return lambda records: [[{**_told(r), "request": asked(r), "response": answer(r)} for r in records]]


# Anthropic, Gemini, Bedrock, Ollama, OpenAI's Responses


def _anthropic_turn(message: Mapping[str, Any]) -> Record:
    if message["role"] == "tool":
        block = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": message["content"]}
        return {"role": "user", "content": [block]}
    uses = [{"type": "tool_use", "id": i, "name": name, "input": given} for i, name, given in _calls_in(message)]
    texts = [{"type": "text", "text": message["content"]}] if message["content"] else []
    return {"role": message["role"], "content": [*texts, *uses]}


def _anthropic_request(record: Record) -> Record:
    system, *turns = record["messages"]
    tools = [{"name": "track", "description": TOOL["function"]["description"], "input_schema": SCHEMA}]
    asked = {"model": record["model"], "system": system["content"], "messages": [_anthropic_turn(m) for m in turns]}
    return {**asked, **record["parameters"], **({"tools": tools} if "tools" in record else {})}


def _anthropic_answer(record: Record) -> Record:
    used, reasons = record["usage"], {"stop": "end_turn", "tool_calls": "tool_use"}
    cached = used["cache_read_tokens"]
    counted = {"input_tokens": used["input_tokens"] - cached, "cache_read_input_tokens": cached,
               "output_tokens": used["output_tokens"]}  # fmt: skip
    said = _anthropic_turn(record["response"])
    head = {"id": record["id"], "type": "message", "model": record["answered_by"]}
    return {**head, **said, "stop_reason": reasons[record["finish_reason"]], "usage": counted}


def _gemini_turn(message: Mapping[str, Any]) -> Record:
    if message["role"] == "tool":
        held = {"id": message["tool_call_id"], "name": "track", "response": json.loads(message["content"])}
        return {"role": "user", "parts": [{"functionResponse": held}]}
    uses = [{"functionCall": {"id": i, "name": name, "args": given}} for i, name, given in _calls_in(message)]
    texts = [{"text": message["content"]}] if message["content"] else []
    return {"role": "model" if message["role"] == "assistant" else "user", "parts": [*texts, *uses]}


def _gemini_request(record: Record) -> Record:
    system, *turns = record["messages"]
    settings = {"temperature": 0.5, "maxOutputTokens": 50}
    if "response_format" in record:
        settings |= {"responseMimeType": "application/json", "responseSchema": SCHEMA}
    asked = {"model": record["model"], "systemInstruction": {"parts": [{"text": system["content"]}]}}
    tools = {"tools": [{"functionDeclarations": [TOOL["function"]]}]} if "tools" in record else {}
    return {**asked, "contents": [_gemini_turn(m) for m in turns], "generationConfig": settings, **tools}


def _gemini_answer(record: Record) -> Record:
    used = record["usage"]
    counted = {"promptTokenCount": used["input_tokens"], "candidatesTokenCount": used["output_tokens"],
               "cachedContentTokenCount": used["cache_read_tokens"]}  # fmt: skip
    candidate = {"content": _gemini_turn(record["response"]), "finishReason": "STOP"}
    return {"responseId": record["id"], "modelVersion": record["answered_by"], "candidates": [candidate],
            "usageMetadata": counted}  # fmt: skip


def _bedrock_turn(message: Mapping[str, Any]) -> Record:
    if message["role"] == "tool":
        held = {"toolUseId": message["tool_call_id"], "content": [{"text": message["content"]}]}
        return {"role": "user", "content": [{"toolResult": held}]}
    uses = [{"toolUse": {"toolUseId": i, "name": name, "input": given}} for i, name, given in _calls_in(message)]
    texts = [{"text": message["content"]}] if message["content"] else []
    return {"role": message["role"], "content": [*texts, *uses]}


def _bedrock_request(record: Record) -> Record:
    system, *turns = record["messages"]
    spec = {"name": "track", "description": TOOL["function"]["description"], "inputSchema": {"json": SCHEMA}}
    tools = {"toolConfig": {"tools": [{"toolSpec": spec}]}} if "tools" in record else {}
    asked = {"modelId": record["model"], "system": [{"text": system["content"]}]}
    settings = {"temperature": 0.5, "maxTokens": 50}
    return {**asked, "messages": [_bedrock_turn(m) for m in turns], "inferenceConfig": settings, **tools}


def _bedrock_answer(record: Record) -> Record:
    used, reasons = record["usage"], {"stop": "end_turn", "tool_calls": "tool_use"}
    cached = used["cache_read_tokens"]
    counted = {"inputTokens": used["input_tokens"] - cached, "cacheReadInputTokens": cached,
               "outputTokens": used["output_tokens"]}  # fmt: skip
    said = {"message": _bedrock_turn(record["response"])}
    return {"output": said, "stopReason": reasons[record["finish_reason"]], "usage": counted}


def _ollama_turn(message: Mapping[str, Any]) -> Record:
    if message["role"] == "tool":
        return {"role": "tool", "content": message["content"]}
    uses = [{"function": {"name": name, "arguments": given}} for _, name, given in _calls_in(message)]
    return {"role": message["role"], "content": message["content"] or "", **({"tool_calls": uses} if uses else {})}


def _ollama_request(record: Record) -> Record:
    more = {"format": SCHEMA} if "response_format" in record else {}
    tools = {"tools": [TOOL]} if "tools" in record else {}
    options = {"temperature": 0.5, "num_predict": 50}
    turns = [_ollama_turn(m) for m in record["messages"]]
    return {"model": record["model"], "messages": turns, "options": options, **more, **tools}


def _ollama_answer(record: Record) -> Record:
    used = {"prompt_eval_count": record["usage"]["input_tokens"], "eval_count": record["usage"]["output_tokens"]}
    head = {"model": record["answered_by"], "message": _ollama_turn(record["response"])}
    return {**head, "done": True, "done_reason": "stop", **used}


def _items(message: Mapping[str, Any]) -> list[Record]:
    if message["role"] == "tool":
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": message["content"]}]
    names = ("call_id", "name", "arguments")
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or ()]
    uses = [{"type": "function_call", **dict(zip(names, call, strict=True))} for call in calls]
    return [*([{"role": message["role"], "content": message["content"]}] if message["content"] else []), *uses]


def _responses_request(record: Record) -> Record:
    system, *turns = record["messages"]
    asked = {
        "model": record["model"],
        "instructions": system["content"],
        "input": [i for m in turns for i in _items(m)],
    }
    form = {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}}
    tools = {"tools": [{"type": "function", **TOOL["function"]}]} if "tools" in record else {}
    return {
        **asked,
        "temperature": 0.5,
        "max_output_tokens": 50,
        **tools,
        **(form if "response_format" in record else {}),
    }


def _responses_answer(record: Record) -> Record:
    used, said = record["usage"], record["response"]
    text = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said["content"]}]}]
    counted = {"input_tokens": used["input_tokens"], "output_tokens": used["output_tokens"],
               "input_tokens_details": {"cached_tokens": used["cache_read_tokens"]}}  # fmt: skip
    output = text if said["content"] else _items(said)
    head = {"id": record["id"], "object": "response", "status": "completed", "model": record["answered_by"]}
    return {**head, "output": output, "usage": counted}


# Tracers


def _attributes(values: Record) -> list[Record]:
    kinds = {str: "stringValue", float: "doubleValue", list: "arrayValue"}

    def value(v: Any) -> Record:
        if isinstance(v, int):
            return {"intValue": str(v)}
        return {"arrayValue": {"values": [value(i) for i in v]}} if isinstance(v, list) else {kinds[type(v)]: v}

    return [{"key": key, "value": value(held)} for key, held in values.items()]


def _otlp(values: Callable[[Record], Record]) -> Callable[[Sequence[Record]], list[list[Any]]]:
    def span(record: Record) -> Record:
        began = int(record["time"]) * 10**9
        ended = began + int(record["latency_ms"] * 10**6)
        ids = {"traceId": record["run"], "spanId": record["id"], "name": "chat"}
        times = {"startTimeUnixNano": str(began), "endTimeUnixNano": str(ended)}
        return {**ids, **times, "attributes": _attributes(values(record))}

    return lambda records: [[{"resourceSpans": [{"scopeSpans": [{"spans": [span(r) for r in records]}]}]}]]


def _parts(message: Mapping[str, Any]) -> Record:
    if message["role"] == "tool":
        part = {"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}
        return {"role": "tool", "parts": [part]}
    uses = [{"type": "tool_call", "id": i, "name": name, "arguments": given} for i, name, given in _calls_in(message)]
    texts = [{"type": "text", "content": message["content"]}] if message["content"] else []
    return {"role": message["role"], "parts": [*texts, *uses]}


def _genai(record: Record) -> Record:
    system, *turns = record["messages"]
    used, said = record["usage"], _parts(record["response"])
    return {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": record["model"],
        "gen_ai.response.model": record["answered_by"], "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50, "gen_ai.response.finish_reasons": [record["finish_reason"]],
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": system["content"]}]),
        "gen_ai.input.messages": json.dumps([_parts(m) for m in turns]), "gen_ai.output.messages": json.dumps([said]),
        **({"gen_ai.tool.definitions": json.dumps(record["tools"])} if "tools" in record else {}),
        "gen_ai.usage.input_tokens": used["input_tokens"], "gen_ai.usage.output_tokens": used["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": used["cache_read_tokens"],
    }  # fmt: skip


def _langfuse(record: Record) -> Record:
    began, ended, first = _times(record)
    used, asked = record["usage"], _chat_request(record)
    counted = {"input": used["input_tokens"] - used["cache_read_tokens"], "output": used["output_tokens"],
               "input_cached_tokens": used["cache_read_tokens"]}  # fmt: skip
    kept = {name: asked[name] for name in ("messages", "tools", "response_format") if name in asked}
    return {
        "id": record["id"], "traceId": record["run"], "parentObservationId": None, "type": "GENERATION", "name": "step",
        "startTime": began, "endTime": ended, "completionStartTime": first, "model": record["model"], "input": kept,
        "modelParameters": record["parameters"], "output": record["response"], "usageDetails": counted,
        "totalCost": record["cost_usd"],
    }  # fmt: skip


def _langchain(message: Mapping[str, Any]) -> Record:
    kinds = {"system": "system", "user": "human", "assistant": "ai", "tool": "tool"}
    uses = [{"id": i, "name": name, "args": given, "type": "tool_call"} for i, name, given in _calls_in(message)]
    plain = {
        "type": kinds[message["role"]],
        "content": message["content"] or "",
        **({"tool_calls": uses} if uses else {}),
    }
    return {**plain, **({"tool_call_id": message["tool_call_id"]} if message["role"] == "tool" else {})}


def _langsmith(record: Record) -> Record:
    began, ended, first = _times(record)
    used = record["usage"]
    counted = {"input_tokens": used["input_tokens"], "output_tokens": used["output_tokens"],
               "input_token_details": {"cache_read": used["cache_read_tokens"]}}  # fmt: skip
    metadata = {"finish_reason": record["finish_reason"], "model_name": record["answered_by"]}
    said = {**_langchain(record["response"]), "usage_metadata": counted, "response_metadata": metadata}
    invoked = {**record["parameters"], **{n: record[n] for n in ("tools", "response_format") if n in record}}
    return {
        "id": record["id"], "run_type": "llm", "trace_id": record["run"], "start_time": began, "end_time": ended,
        "first_token_time": first, "inputs": {"messages": [[_langchain(m) for m in record["messages"]]]},
        "outputs": {"generations": [[{"message": said}]]}, "total_cost": record["cost_usd"],
        "extra": {
            "metadata": {"ls_model_name": record["model"], "langgraph_node": "step"}, "invocation_params": invoked,
        },
    }  # fmt: skip


def _litellm(record: Record) -> Record:
    began, ended, first = _times(record)
    return {
        "request_id": record["id"], "call_type": "acompletion", "spend": record["cost_usd"], "model": record["model"],
        "session_id": record["run"], "startTime": began, "endTime": ended, "completionStartTime": first,
        "messages": record["messages"], "response": _chat_answer(record), "proxy_server_request": _chat_request(record),
    }  # fmt: skip


def _mlflow(records: Sequence[Record]) -> list[list[Any]]:
    def trace(record: Record) -> Record:
        began = int(record["time"]) * 10**9
        values = {
            "mlflow.spanType": "CHAT_MODEL", "mlflow.spanInputs": _chat_request(record),
            "mlflow.spanOutputs": _chat_answer(record), "mlflow.llm.cost": {"total_cost": record["cost_usd"]},
        }  # fmt: skip
        span = {
            "span_id": record["id"], "parent_span_id": None, "name": "step", "start_time_unix_nano": began,
            "end_time_unix_nano": began + int(record["latency_ms"] * 10**6), "status": {"code": "STATUS_CODE_OK"},
            "attributes": {name: json.dumps(value) for name, value in values.items()},
        }  # fmt: skip
        return {"info": {"trace_id": record["run"], "state": "OK"}, "data": {"spans": [span]}}

    return [[trace(record) for record in records]]


def _helicone(record: Record) -> Record:
    return {
        "request_id": record["id"], "request_created_at": _times(record)[0], "request_path": "/v1/chat/completions",
        "request_body": _chat_request(record), "response_body": _chat_answer(record), "response_status": 200,
        "delay_ms": record["latency_ms"], "time_to_first_token": record["ttft_ms"], "cost": record["cost_usd"],
        "request_properties": {"Helicone-Session-Id": record["run"]},
    }  # fmt: skip


# Training files


def _sharegpt(record: Record) -> Record:
    turns: list[Record] = []
    for message in (*record["messages"], record["response"]):
        kinds = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
        uses = [{"name": name, "arguments": given} for _, name, given in _calls_in(message)]
        turns += [{"from": "function_call", "value": json.dumps(use)} for use in uses]
        turns += [] if uses else [{"from": kinds[message["role"]], "value": message["content"]}]
    return {"conversations": turns, **({"tools": json.dumps(record["tools"])} if "tools" in record else {})}


def _chatml(record: Record) -> Record:
    def said(message: Mapping[str, Any]) -> str:
        if message["role"] == "tool":
            return f"<tool_response>\n{message['content']}\n</tool_response>"
        uses = [json.dumps({"name": name, "arguments": given}) for _, name, given in _calls_in(message)]
        return (message["content"] or "") + "".join(f"<tool_call>\n{use}\n</tool_call>" for use in uses)

    turns = (*record["messages"], record["response"])
    return {"id": record["id"], "text": "".join(f"<|im_start|>{m['role']}\n{said(m)}<|im_end|>\n" for m in turns)}


def _lines(write: Callable[[Record], Any]) -> Callable[[Sequence[Record]], list[list[Any]]]:
    return lambda records: [[write(record) for record in records]]


def _openai(record: Record) -> Record:
    messages = [*record["messages"], record["response"]]
    return {"messages": messages, **({"tools": record["tools"]} if "tools" in record else {})}


def _batch(records: Sequence[Record]) -> list[list[Any]]:
    asked = [{"custom_id": r["id"], "url": "/v1/chat/completions", "body": _chat_request(r)} for r in records]
    return [asked, [{"custom_id": r["id"], "response": {"status_code": 200, "body": _chat_answer(r)}} for r in records]]


def _stored(record: Record) -> Record:
    return {**_chat_request(record), **_chat_answer(record), "created": record["time"]}


FIGURES = frozenset({"model", "answered_by", "usage", "time", "latency_ms", "ttft_ms", "cost_usd", "finish_reason"})
AROUND = frozenset({"run", "node", "latency_ms", "ttft_ms", "cost_usd"})
NO_SETTINGS = frozenset({"parameters", "response_format"})
TRAINING = FIGURES | NO_SETTINGS | {"id", "run", "node"}

FORMS = {
    "calls": Form("calls", _lines(dict)),
    "openai": Form("openai", _lines(_openai), TRAINING),
    "chat": Form("requests", _pairs(_chat_request, _chat_answer)),
    "responses": Form("requests", _pairs(_responses_request, _responses_answer)),
    "anthropic": Form("requests", _pairs(_anthropic_request, _anthropic_answer), frozenset({"response_format"})),
    "gemini": Form("requests", _pairs(_gemini_request, _gemini_answer)),
    "bedrock": Form(
        "requests", _pairs(_bedrock_request, _bedrock_answer), frozenset({"response_format", "answered_by"})
    ),
    "ollama": Form("requests", _pairs(_ollama_request, _ollama_answer), frozenset({"cache"}), tool_ids=False),
    "batch": Form("batch", _batch, AROUND | {"time"}),
    "stored": Form("stored", _lines(_stored), AROUND),
    "otlp": Form("otlp", _otlp(_genai), frozenset({"response_format", "node", "cost_usd", "ttft_ms"})),
    "langfuse": Form("langfuse", _lines(_langfuse), frozenset({"finish_reason", "answered_by"})),
    "langsmith": Form("langsmith", _lines(_langsmith)),
    "litellm": Form("litellm", _lines(_litellm), frozenset({"node"})),
    "mlflow": Form("mlflow", _mlflow, frozenset({"ttft_ms"})),
    "helicone": Form("helicone", _lines(_helicone), frozenset({"node"})),
    "chatml": Form("chatml", _lines(_chatml), (TRAINING - {"id"}) | {"tools"}, tool_ids=False),
    "sharegpt": Form("sharegpt", _lines(_sharegpt), TRAINING, tool_ids=False),
}
"""By a name of ours; several are of one form of the registry."""
