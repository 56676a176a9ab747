"""LangSmith: runs, as its API and its SDK give them. A run of type `llm` is a call. Feedback may hold a correction, and
an example of a data set the right outputs of the run that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ...common.messages import json_in, messages_from
from ...dialects.reading import is_request, options_of, request_of, response_of, tools_of
from ...errors import BadCall
from .base import Correction, Format, Found, Passed, Record, Span, object_of, without_nothing
from .corrections import answered
from .figures import dollars, times


def units(run: Any) -> Iterator[Any]:
    """A run and those below it."""
    yield run
    children = run.get("child_runs") if isinstance(run, Mapping) else None
    for child in cast(list[Any], children) if isinstance(children, list) else ():
        yield from units(child)


def records(run: Any) -> Iterator[Found]:
    """The call of a run, or what else a run, feedback or an example is. Raises BadCall."""
    run = object_of(run)
    if "run_type" not in run:
        yield _judgement(run)
        return
    run_id, parent = str(run.get("id") or ""), str(run.get("parent_run_id") or "")
    if (kind := str(run.get("run_type") or "")) != "llm":
        yield Span(run_id, parent, None, kind or "another step")
        return
    extra, metadata = _object(run.get("extra")), _object(_object(run.get("extra")).get("metadata"))
    invoked = _object(extra.get("invocation_params"))
    inputs = _object(json_in(run.get("inputs")))
    answer = _answer(json_in(run.get("outputs")))
    usage = answer.pop("usage", None) or {
        "input_tokens": run.get("prompt_tokens"),
        "output_tokens": run.get("completion_tokens"),
        "input_token_details": run.get("prompt_token_details"),
        "output_token_details": run.get("completion_token_details"),
    }
    yield Span(
        run_id,
        parent,
        without_nothing(
            {
                **without_nothing(options_of(invoked)),
                "tools": tools_of(invoked),
                **_request(inputs),
                **answer,
                "id": run_id or None,
                "model": metadata.get("ls_model_name") or _first({**inputs, **invoked}, "model", "model_name"),
                "run": metadata.get("thread_id") or metadata.get("session_id") or run.get("trace_id"),
                "parent": parent or None,
                "node": [node] if (node := metadata.get("langgraph_node")) else None,
                "usage": usage,
                "cost_usd": dollars(run.get("total_cost")),
                "correction": _reference(run),
                "error": str(run["error"])[:500] if run.get("error") else None,
                **times(run.get("start_time"), run.get("end_time"), run.get("first_token_time")),
            }
        ),
    )


def _judgement(document: Mapping[str, Any]) -> Correction | Passed:
    """What feedback or an example says is right; other feedback is passed over."""
    if _is_feedback(document):
        run_id, answer = document.get("run_id"), json_in(document.get("correction"))
        kind = "feedback without a correction"
    else:
        run_id, answer = document.get("source_run_id"), json_in(document.get("outputs"))
        kind = "example of a data set"
    if not run_id or not answer or isinstance(answer, bool):
        return Passed(kind)
    return Correction(str(run_id), _said(answer))


def _reference(run: Mapping[str, Any]) -> Any:
    """What a run of an experiment was to answer; None if it does not say so."""
    held = run.get("reference_outputs") or _object(run.get("reference_example")).get("outputs")
    return _said(json_in(held)) if held else None


def _said(answer: Any) -> Any:
    """The answer in outputs."""
    told = _object(answer)
    if "generations" in told:
        return _answer(told).get("response")
    return answered(answer)


def _is_feedback(document: Mapping[str, Any]) -> bool:
    return {"run_id", "key"} <= document.keys() and not {"score", "correction", "value"}.isdisjoint(document)


def _tells(document: Mapping[str, Any]) -> bool:
    return "run_type" in document or _is_feedback(document) or {"source_run_id", "outputs"} <= document.keys()


def _object(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _request(inputs: Mapping[str, Any]) -> Record:
    """LangChain's `messages` (a list for each prompt), a provider's whole request, or prompts."""
    messages = inputs.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[0], list):
        return {"messages": cast(list[Any], messages)[0]}
    if isinstance(prompts := inputs.get("prompts"), list) and prompts:
        return {"messages": [{"role": "user", "content": cast(list[Any], prompts)[0]}]}
    if not is_request(inputs):
        raise BadCall(f"a run without messages (the fields of its inputs: {', '.join(inputs)[:200]}).")
    return request_of(inputs)


def _answer(outputs: Any) -> Record:
    """LangChain's `generations` (a list for each prompt), a message, or a provider's whole answer."""
    if not outputs:
        return {}
    told = _object(outputs)
    generations = told.get("generations")
    if isinstance(generations, Sequence) and generations:
        first: Any = generations[0]
        generation = _object(first[0] if isinstance(first, list) else first)
        message = generation.get("message") or {"role": "assistant", "content": generation.get("text")}
        held = _object(_object(message).get("kwargs") or _object(message).get("data") or message)
        metadata = {**_object(generation.get("generation_info")), **_object(held.get("response_metadata"))}
        return without_nothing(
            {
                "response": messages_from(message)[0],
                "finish_reason": _first(metadata, "finish_reason", "stop_reason", "done_reason"),
                "answered_by": metadata.get("model_name") or metadata.get("model"),
                "usage": held.get("usage_metadata") or _object(told.get("llm_output")).get("token_usage"),
            }
        )
    if isinstance(said := told.get("messages"), list) and said and "choices" not in told:
        return {"response": messages_from(cast(list[Any], said)[-1])[0]}
    if (output := told.get("output")) and isinstance(output, Mapping | str | list) and "choices" not in told:
        if "status" in told or told.get("object") == "response":
            output = told  # OpenAI's Responses
        return {name: value for name, value in response_of(output).items() if name not in ("id", "time")}
    usage = told.get("usage_metadata")
    found = {name: value for name, value in response_of(outputs).items() if name not in ("id", "time")}
    return {**found, "usage": usage} if usage else found


def _first(held: Mapping[str, Any], *names: str) -> Any:
    return next((held[name] for name in names if held.get(name)), None)


def form() -> Format:
    """This form."""
    return Format("LangSmith runs, feedback and examples", _tells, records, units)
