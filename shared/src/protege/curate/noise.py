"""Label noise: answers of the teacher that a specialist must not learn, and how each is recognised.

This concerns train alone. The other parts keep such calls, because the route will meet calls like them: disagreeing
with a refusal or a wrong answer is disagreement all the same.

- marked wrong: `feedback` says so, see `verdict`.
- stopped by a content filter: the finish reason says so.
- stopped by an error: the finish reason says so.
- refusal: the `refusal` field, a finish reason that says so, or an opening with which a model declines to help. An
  apology alone is not one: "I'm sorry, but the ticket is not refundable" is normal in customer service.
- tool call then failed: a later call of the run shows that the tool answered with an error. Calls of other tasks are
not
  examined, nor is what comes after the last call of a run.
- replaced by a retry: the same run asked the same prompt again after the answer had come, and the last answer differs.
  Answers that were asked for at the same time are samples of one prompt, and vote instead. Both are in `curation`,
  which knows what a prompt is.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson

from ..call import Call, Message, canonical_json
from ..chat.acts import calls_of, function_of
from ..chat.answer import bare_text
from ..chat.refusal import refuses
from ..chat.results import is_error

_FILTERED = frozenset({"content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"})
_BROKEN = frozenset({"error", "failed", "cancelled", "malformed_function_call"})
_WRONG = frozenset(
    {"wrong", "incorrect", "bad", "negative", "rejected", "thumbs_down", "down", "dislike", "no", "false", "👎"}
)
_RIGHT = frozenset({"right", "correct", "good", "positive", "accepted", "thumbs_up", "up", "like", "yes", "true", "👍"})
_JUDGED = ("correct", "score", "value", "label", "verdict", "thumbs", "thumb", "sentiment")


def noise_of(call: Call, failed: frozenset[str]) -> str | None:
    """Why the call's answer must not be learnt from; None if there is no reason. failed: as `failed_tools` gives it."""
    if verdict(call.feedback) is False:
        return "marked wrong"
    if call.response is None:
        return None
    finish = (call.finish_reason or "").lower()
    if finish in _FILTERED:
        return "stopped by a content filter"
    if finish in _BROKEN:
        return "stopped by an error"
    if finish == "refusal" or refusal_of(call.response) or refuses(bare_text(call.response)):
        return "refusal"
    if any(_identity(call.run, asked) in failed for asked in calls_of(call.response)):
        return "tool call then failed"
    return None


def refusal_of(response: Message) -> str:
    """The text with which the model declined, if the provider marks it as a refusal; else empty."""
    if response.get("refusal"):
        return str(response["refusal"])
    content = response.get("content")
    parts = [] if content is None or isinstance(content, str) else cast(Sequence[Any], content)
    return "".join(str(part.get("refusal") or "") for part in parts if isinstance(part, Mapping))


def verdict(feedback: Any, depth: int = 3) -> bool | None:
    """Whether feedback says that an answer is right (True) or wrong (False); None if it says neither.

    It understands booleans; the numbers 1 (right) and 0 or less (wrong), since the scale of other numbers is unknown;
    the usual words and thumbs; objects with one of these under `correct`, `score`, `value`, `label`, `verdict`,
    `thumbs` or `sentiment`; and lists. A single "wrong" outweighs everything else.
    """
    if isinstance(feedback, bool):
        return feedback
    if isinstance(feedback, int | float):
        return False if feedback <= 0 else True if feedback == 1 else None
    if isinstance(feedback, str):
        said = feedback.strip().casefold().replace(" ", "_")
        return False if said in _WRONG else True if said in _RIGHT else None
    if depth == 0:
        return None
    if isinstance(feedback, Mapping):
        inside = [feedback[name] for name in _JUDGED if name in feedback]
    else:
        inside = cast(Sequence[Any], feedback) if isinstance(feedback, list | tuple) else []
    verdicts = {verdict(item, depth - 1) for item in inside}
    return False if False in verdicts else True if True in verdicts else None


def failed_tools(calls: Iterable[Call]) -> frozenset[str]:
    """The tool calls for which a history shows an error, each as a hash of its run, id, name and arguments."""
    failed: set[str] = set()
    for call in calls:
        asked: Sequence[Mapping[str, Any]] = ()
        for message in call.request.messages:
            if message.get("role") in ("tool", "function"):
                if is_error(message):
                    failed.update(_identity(call.run, tool_call) for tool_call in _answered(message, asked))
            else:
                asked = calls_of(message)
    return frozenset(failed)


def _answered(message: Message, asked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The tool calls that a tool's message answers: those with its id, else the only one."""
    named = [call for call in asked if call.get("id") is not None and call.get("id") == message.get("tool_call_id")]
    return named or (list(asked) if len(asked) == 1 else [])


def _identity(run: str | None, call: Mapping[str, Any]) -> str:
    """A hash of a tool call, the same in the answer and in a later history, whose arguments may be an object."""
    function = function_of(call)
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        with contextlib.suppress(orjson.JSONDecodeError):
            arguments = orjson.loads(arguments)
    try:
        body = canonical_json([run, call.get("id"), function.get("name"), arguments])
    except RecursionError:
        body = canonical_json([run, call.get("id"), function.get("name"), str(function.get("arguments"))])
    return hashlib.sha256(body).hexdigest()
