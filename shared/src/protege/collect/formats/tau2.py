"""tau2-bench: results with `simulations`, or one simulation a file, as its folders hold them.

Each answer of the agent's model is a call, with what the agent had seen as the request. The user is simulated and has
tools of its own: what passes between it and these is not in the agent's requests. Spoken simulations hold no messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...errors import BadCall
from .base import Format, Found, Passed, object_of, without_nothing
from .figures import time_or_none
from .trajectories import MOST_TOLD, told_size

_MARKS = frozenset({"task_id", "termination_reason"})


def units(document: Any) -> Iterator[Any]:
    """The answers of each simulation, each with what came before it. Raises BadCall."""
    document = object_of(document)
    info = _object(document.get("info")) if "simulations" in document else {}
    agent = _object(info.get("agent_info"))
    policy = _object(info.get("environment_info")).get("policy")
    listed = document.get("simulations", [document])
    for simulation in cast(list[Any], listed) if isinstance(listed, list) else ():
        yield from _answers(simulation, policy, agent)


def records(unit: Any) -> Iterator[Found]:
    """The call of an answer. Raises BadCall."""
    if isinstance(unit, str):
        if unit == _SPOKEN:
            yield Passed(unit)
            return
        raise BadCall(unit)
    simulation, seen, turn, agent = unit
    if not any(message.get("role") != "system" for message in seen):
        yield Passed("greeting of an agent")
        return
    seconds = turn.get("generation_time_seconds")
    ended = time_or_none(turn.get("timestamp"))
    began = ended - seconds if ended is not None and isinstance(seconds, int | float) else ended
    raw = _object(turn.get("raw_data"))
    yield without_nothing(
        {
            "id": f"{simulation['id']}-{turn['turn_idx']}" if simulation.get("id") and "turn_idx" in turn else None,
            "messages": seen,
            "response": _plain(turn),
            "run": simulation.get("id"),
            "model": agent.get("llm"),
            "answered_by": raw.get("model"),
            "parameters": _object(agent.get("llm_args")) or None,
            "usage": turn.get("usage"),
            "cost_usd": turn.get("cost"),
            "time": began,
            "latency_ms": seconds * 1000 if isinstance(seconds, int | float) else None,
        }
    )


def _answers(simulation: Any, policy: Any, agent: Mapping[str, Any]) -> Iterator[Any]:
    if not isinstance(simulation, Mapping):
        yield "a simulation that is no object."
        return
    simulation = cast(Mapping[str, Any], simulation)
    turns = simulation.get("messages")
    if not isinstance(turns, list):
        yield _SPOKEN if simulation.get("ticks") else "a simulation without messages."
        return
    policy = simulation.get("policy") or policy
    seen: list[dict[str, Any]] = [{"role": "system", "content": policy}] if isinstance(policy, str) else []
    size = told = 0
    for turn in _flat(cast(list[Any], turns)):
        if turn.get("role") == "assistant":
            told += size
            if told > MOST_TOLD:
                yield "a conversation too long to be told once more for each answer; the rest is not read."
                return
            yield simulation, list(seen), turn, agent
        if turn.get("requestor") != "user" and (turn.get("role") != "user" or not turn.get("tool_calls")):
            seen.append(_plain(turn))
            size += told_size(turn)


def _flat(turns: list[Any]) -> Iterator[Mapping[str, Any]]:
    """The turns; the results of several tools may stand in one."""
    for turn in turns:
        if isinstance(turn, Mapping):
            results = cast(Mapping[str, Any], turn).get("tool_messages")
            yield from _flat(cast(list[Any], results)) if isinstance(results, list) else (cast(Any, turn),)


def _plain(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn without what only the benchmark uses. The id of a tool's result is that of its call."""
    plain = {name: turn[name] for name in ("role", "content", "tool_calls") if turn.get(name) is not None}
    result = {"tool_call_id": turn.get("id")} if turn.get("role") == "tool" else {}
    failed = {"is_error": True} if turn.get("error") is True else {}
    return {"content": None if plain.get("tool_calls") else "", **plain, **result, **failed}


def _object(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


_SPOKEN = "spoken simulation"


def _tells(document: Mapping[str, Any]) -> bool:
    if "simulations" in document:
        return isinstance(document["simulations"], list) and "tasks" in document
    return document.keys() >= _MARKS and ("messages" in document or "ticks" in document)


def form() -> Format:
    """This form."""
    return Format("tau2-bench simulations", _tells, records, units)
