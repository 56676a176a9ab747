"""One call as a row of the data set, or the reason why it is left out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ..call import Call, Message, request_from, text_of
from ..chat.answer import answer_text, message_from
from ..chat.prompt import as_messages, fitting_template, tools_text, worded
from ..errors import CannotRender, InvalidAnswer
from ..task import Task
from .near import ends
from .noise import refusal_of, verdict

CUT_OFF = frozenset({"length", "max_tokens"})
"""Finish reasons of an incomplete answer, as OpenAI and Anthropic name them."""

TURN_CHARS = 10_000
"""Of a longer turn, so many characters of each end tell it from others."""
COMPARED = frozenset({"label", "json", "tool_calls"})
"""Kinds whose answers can be compared for equality. Free text, SQL and code have many right forms, so two different
answers do not conflict."""


@dataclass(frozen=True, slots=True)
class Row:
    """A call that has an answer to learn from, or to judge by."""

    id: str
    """The call's id."""
    run: str
    """The call's run; empty if unknown."""
    request: str
    """The call's record as JSON, without its answer."""
    answer: str
    """The teacher's answer, as text; a person's if the teacher gave none, or once the row trains."""
    signature: str
    """The wording of the request (`chat.prompt.wording_of`)."""
    prompt: str
    """Hash of the slots and the tools, exactly as they are."""
    strict: str
    """Hash of the slots with case, whitespace and punctuation folded."""
    near: tuple[str, ...]
    """Hashes; two calls that share one must not stand in different parts, because one would reveal the other."""
    turns: tuple[str, ...]
    """Hashes of each turn of the conversation that is shown, the answer included, in their order."""
    sampled: bool
    """Whether the call belongs to a uniform sample: no specialist was asked, or it was drawn at random for an audit."""
    correction: str = ""
    """The answer that a person says is right, as text; empty if nobody said one."""
    corrected: bool = False
    """Whether `answer` is a person's."""
    group: str = ""
    """The id of one call of its group: rows that share a run or a prompt, or are near-duplicates. Empty before the
    split."""
    folded: str = ""
    """The slots in the form in which near-duplicates are searched."""
    cut_off: bool = False
    """Whether the answer was stopped at its token limit."""
    approved: bool = False
    """Whether feedback marked the answer right."""
    noise: str | None = None
    """Why the answer must not be learnt from, as far as this call and later ones of its run show."""
    started: float | None = None
    """Time of the request, in seconds since 1970; None if unknown."""
    ended: float | None = None
    """Time of the answer, in seconds since 1970; None if unknown."""


def row_from(task: Task, call: Call, noise: str | None = None) -> Row | str:
    """The row of a call whose secrets are masked, or the reason why it is left out of all parts.

    noise: see `Row.noise`.
    """
    correction = "" if call.correction is None else _answer(call.correction)
    reason = _no_answer(call)
    if reason is not None and not correction:
        return reason
    request = call.request
    if any(not isinstance(m.get("content"), str | None) for m in request.messages):
        return "content that is not text"
    fitting = fitting_template(task, request)
    if fitting is None:
        return "other wording"
    template, slots = fitting
    try:
        shown = as_messages(slots)
    except (CannotRender, TypeError):  # TypeError: tool arguments nested too deeply to be written
        return "a history that a specialist cannot be shown"
    answer = "" if reason is not None or call.response is None else _answer(call.response)
    if not answer and not correction:
        return "empty answer"
    text = _text(shown)
    folded = _folded(text)
    tools = "" if template.constant_tools else tools_text(request.tools)
    return Row(
        id=call.id,
        run=call.run or "",
        request=_request(call),
        answer=answer or correction,
        correction=correction if answer else "",
        corrected=not answer,
        signature=worded(template, slots),
        prompt=_hash(f"{text}\n{tools}"),
        strict=_hash(folded),
        near=_near(shown, folded),
        turns=_turns(slots, answer or correction),
        sampled=bool(answer) and all(attempt.outcome == "audited" for attempt in (*call.attempts, *call.claims)),
        folded=ends(folded),
        cut_off=(call.finish_reason or "").lower() in CUT_OFF,
        approved=verdict(call.feedback) is True,
        noise=noise,
        started=call.time,
        ended=None if call.time is None or call.latency_ms is None else call.time + call.latency_ms / 1000,
    )


def taught(row: Row) -> Row:
    """The row as it is learnt from: a person's answer stands in the place of the teacher's, and what spoke against
    learning from that one says nothing of it."""
    if not (row.correction or row.corrected):
        return row
    answer = row.correction or row.answer
    return replace(row, answer=answer, correction="", corrected=True, cut_off=False, noise=None)


def has_structure(row: Row, task: Task) -> bool:
    """Whether the answer has the form that a specialist of the task may give and that the request asks for."""
    request = request_from(orjson.loads(row.request))
    asked = (request.response_format or {}).get("type")
    if asked in ("json_schema", "json_object") and task.kind in ("label", "text", "code", "sql"):
        task = replace(task, kind="json")
    try:
        message_from(row.answer, task, request)
    except (InvalidAnswer, TypeError, RecursionError):  # the latter two: nested too deeply to be written or checked
        return False
    return True


def canonical(answer: str) -> str:
    """The answer with the keys of JSON sorted, so that two spellings of one object are equal."""
    try:
        return orjson.dumps(orjson.loads(answer), option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, TypeError):  # TypeError: nested too deeply
        return answer


def _no_answer(call: Call) -> str | None:
    if not call.from_teacher:
        return "answered by a specialist"
    if call.error is not None:
        return "failed"
    if call.response is None:
        return "no response"
    return None


def _answer(response: Message) -> str:
    try:
        return answer_text(response) or refusal_of(response).strip()
    except (InvalidAnswer, TypeError):
        # Kept as the teacher wrote it, to be compared with: no valid answer of a specialist equals it.
        return orjson.dumps(response.get("tool_calls")).decode()


def _request(call: Call) -> str:
    """The call's record as JSON, without answers: not the teacher's, a specialist's or a person's."""
    record: dict[str, Any] = call.to_record()
    for name in ("response", "attempts", "claims", "feedback", "correction"):
        record.pop(name, None)
    # Databases and tracers sort keys: the same call must be the same bytes.
    record["messages"] = [_in_order(message) for message in record["messages"]]
    if "parameters" in record:
        record["parameters"] = dict(sorted(record["parameters"].items()))
    return orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS).decode()


_ORDER = {name: place for place, name in enumerate(("role", "content", "tool_calls", "id", "type", "function", "name"))}


def _in_order(value: Any) -> Any:
    """A message or one of its tool calls, its fields in the order of OpenAI's documents."""
    if not isinstance(value, dict):
        return value
    fields = sorted(value.items(), key=lambda field: (_ORDER.get(field[0], len(_ORDER)), str(field[0])))
    return {
        name: [_in_order(call) for call in held]
        if name == "tool_calls" and isinstance(held, list)
        else _in_order(held)
        if name == "function"
        else held
        for name, held in fields
    }


def _near(shown: tuple[Message, ...], folded: str) -> tuple[str, ...]:
    """Hashes of the slots without digits, and of the conversation's opening, which its later turns repeat."""
    whole = _hash(_without_digits(folded))
    turn = next((i for i, message in enumerate(shown) if message["role"] == "assistant"), None)
    return (whole,) if turn is None else (whole, _hash(_without_digits(_folded(_text(shown[:turn])))))


def _turns(slots: tuple[Message, ...], answer: str) -> tuple[str, ...]:
    texts = [
        turn
        for message in slots
        if message["role"] not in ("system", "developer")
        for turn in _spoken(message["role"], _turn_text(message))
    ]
    return tuple(_hash(f"{role} {_folded(_ends(text))}")[:16] for role, text in (*texts, ("assistant", answer)))


def _spoken(role: str, text: str) -> Iterator[tuple[str, str]]:
    """The turns in a message, each with its role: one, or those of the conversation that an agent writes into it. The
    time at which something was said is no part of it."""
    text = _STAMP.sub("", text)
    speakers = list(_SPEAKER.finditer(text)) if role == "user" else []
    roles = ["user" if speaker[1] else "assistant" for speaker in speakers]
    if len(set(roles)) != 2 and roles != ["user"]:
        yield role, text
        return
    if before := text[: speakers[0].start()].strip():
        yield role, before
    ends = [speaker.start() for speaker in speakers[1:]] + [len(text)]
    for speaker, end, said_by in zip(speakers, ends, roles, strict=True):
        yield said_by, text[speaker.end() : end].strip()


_STAMP = re.compile(r"\A\s{0,9}[\[(][^\])\n]{1,40}[\])][ \t]")
_SPEAKER = re.compile(
    r"^[ \t*#-]{0,6}(?:(user|human|customer|client|question|q|benutzer|kunde|utilisateur|usuario)"
    r"|(?:assist[ae]nt|ai|agent|bot|answer|a|model|gpt|asistente))\*{0,2}[ \t]?[:：]\*{0,2}[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
"""Who speaks next, where a conversation is written into one message."""


def _ends(text: str) -> str:
    """A text of usual length; of a longer one its two ends, which tell it from others."""
    return text if len(text) <= 2 * TURN_CHARS else f"{text[:TURN_CHARS]} {text[-TURN_CHARS:]}"


def _turn_text(message: Message) -> str:
    return _answer(message) if message["role"] == "assistant" else text_of(message)


def _text(messages: tuple[Message, ...]) -> str:
    return "\n".join(text_of(message) for message in messages).strip()


def _folded(text: str) -> str:
    """The text with case, whitespace and punctuation folded; a text without letters and digits stays as it is."""
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split()) or text


def _without_digits(folded: str) -> str:
    return re.sub(r"\d+", "0", folded)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
