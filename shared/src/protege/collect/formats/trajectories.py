"""Trajectories of benchmarks' agents: each answer of the model is a call, with what came before it as the request.

tau-bench writes `traj`, the whole conversation; SWE-agent a `history` and, since 1.0, with each step the messages that
the model was asked (`query`). Neither holds the tools that were offered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...common.messages import text_in
from ...errors import BadCall
from .base import Format, Record, object_of, without_nothing

MOST_TOLD = 256 << 20
"""Each answer's call holds what came before it: all of a conversation's together come to about so many characters."""


def tau_units(document: Any) -> Iterator[Any]:
    """The answers of a conversation, each with what came before it. Raises BadCall."""
    document = object_of(document)
    run = "-".join(str(document[name]) for name in ("task_id", "trial") if document.get(name) is not None)
    yield from _answers(document["traj"], run and f"task {run}")


def swe_units(document: Any) -> Iterator[Any]:
    """The steps of a trajectory. Raises BadCall."""
    document = object_of(document)
    history = [turn for turn in _listed(document.get("history")) if isinstance(turn, Mapping)]
    steps = [step for step in _listed(document.get("trajectory")) if isinstance(step, Mapping)]
    run = next((str(document[name]) for name in ("environment", "instance_id") if document.get(name)), "")
    if not any(_asked(step) for step in steps):  # before 1.0
        yield from _answers(history, run)
        return
    said = [turn for turn in history if turn.get("role") == "assistant" and not turn.get("is_demo")]
    for step in steps:
        place = next((i for i, turn in enumerate(said) if _is_answer(turn, step)), None)
        answer = {"role": "assistant", "content": step.get("response")} if place is None else said[place]
        said = said if place is None else said[place + 1 :]
        yield _asked(step), answer, run


def record(unit: Any) -> Iterator[Record]:
    """The call of an answer. Raises BadCall."""
    asked, answer, run = unit
    if not asked:
        raise BadCall("an answer to nothing.")
    yield without_nothing(
        {"messages": [_plain(turn) for turn in asked], "response": _plain(answer), "run": run or None}
    )


def _answers(turns: Any, run: str) -> Iterator[Any]:
    turns = _listed(turns)
    before = told = 0
    for place, turn in enumerate(turns):
        is_answer = isinstance(turn, Mapping) and cast(Any, turn).get("role") == "assistant"
        if is_answer and place and not cast(Any, turn).get("is_demo"):
            told += before
            if told > MOST_TOLD:
                raise BadCall("a conversation too long to be told once more for each answer; the rest is not read.")
            yield turns[:place], turn, run
        before += told_size(turn)


def told_size(turn: Any) -> int:
    """About how many characters telling a turn once more takes, its tool calls too."""
    held = cast(Mapping[str, Any], turn) if isinstance(turn, Mapping) else {}
    return 100 + len(text_in(held.get("content"))) + len(text_in(held.get("tool_calls")))


def _plain(turn: Any) -> Any:
    """A turn without what only its agent uses; SWE-agent lists the ids of the calls that a result answers."""
    if not isinstance(turn, Mapping):
        return turn
    turn = cast(Mapping[str, Any], turn)
    ids = turn.get("tool_call_ids")
    plain = {name: turn[name] for name in ("role", "content", "name", "tool_calls", "tool_call_id") if turn.get(name)}
    if isinstance(ids, list) and len(cast(list[Any], ids)) == 1 and turn.get("role") == "tool":
        plain["tool_call_id"] = cast(list[Any], ids)[0]
    return {"content": None if plain.get("tool_calls") else "", **plain}


def _asked(step: Mapping[str, Any]) -> list[Any]:
    return [turn for turn in _listed(step.get("query")) if turn]


def _is_answer(turn: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    said = text_in(turn.get("content"))
    return said == str(step.get("response") or "") and turn.get("action", step.get("action")) == step.get("action")


def _listed(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _is_swe(document: Mapping[str, Any]) -> bool:
    if "trajectory" not in document or _MARKS.isdisjoint(document):
        return False
    held = (*_listed(document["trajectory"])[:1], *_listed(document.get("history"))[:1])
    return bool(held) and all(isinstance(item, Mapping) for item in held)


_MARKS = frozenset({"history", "replay_config", "environment"})


def tau_form() -> Format:
    """tau-bench."""
    return Format(
        "tau-bench trajectories",
        lambda document: isinstance(document.get("traj"), list) and "reward" in document,
        record,
        tau_units,
    )


def swe_form() -> Format:
    """SWE-agent."""
    return Format("SWE-agent trajectories", _is_swe, record, swe_units)
