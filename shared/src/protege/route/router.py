"""The live route, inside the agent: which calls a specialist answers, and which of its answers are kept."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..asking.ask import Answered, ask
from ..asking.confidence import keeps
from ..call import Attempt, Message, Request
from ..common.files import home_path
from ..common.forks import tell_of_forks
from ..common.tracing import OFF_SPAN, Span, span
from ..errors import CannotRender, EngineBusy, EngineError, EngineTimeout, NoOpinion, NotServed
from ..specialist import EMBEDDED, Route
from .advice import adviser_of, blame, engine_of, needed
from .belief import is_believed
from .decision import Decision, Reason, chain
from .link import EngineKey, EngineLink, link_to
from .table import TableFile

if TYPE_CHECKING:
    from ..serve import Engine

_CHANCE = random.SystemRandom()
"""Not the program's own generator: an agent that seeds that one would draw no audits, and its own draws would
change."""
ROUTE_VAR = "PROTEGE_ROUTE"
"""If this environment variable is "off", the teacher answers all calls, whatever routes.json says."""

log = logging.getLogger("protege.route")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call that was routed."""

    message: Message | None
    """The answer in OpenAI chat form; None if the teacher must answer."""
    attempt: Attempt | None
    """What the specialist did, the last one if several were asked; None if none was."""
    decision: Reason
    """Why the call goes where it goes."""
    specialist: str | None = None
    """The name of that specialist, or of the route's specialist if none was asked."""
    specialist_id: str | None = None
    """Its id."""
    task_id: str | None = None
    """The task that the request belongs to."""
    input_tokens: int | None = None
    """Tokens of the specialist's prompt; None without an answer."""
    output_tokens: int | None = None
    """Tokens of the specialist's answer; None without one."""
    latency_ms: float = 0.0
    """All the time that the route took."""
    earlier: tuple[Attempt, ...] = ()
    """In a cascade: what the specialists that were asked before did, in order."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What each specialist that was asked did, in order."""
        return self.earlier if self.attempt is None else (*self.earlier, self.attempt)


@dataclass(slots=True)
class _Asking:
    """A call that specialists are being asked about."""

    at: tuple[Decision, tuple[Attempt, ...]]
    """Who is asked now, and what earlier specialists did. Set in one step, because the agent's thread reads it when the
    time is over."""
    begin_s: float
    """When the call came, on `time.perf_counter`."""
    until_s: float
    """When its time is over, on the same clock."""
    drawn: float
    """A random number from 0 to 1: the call is audited if it is below the rate of audits."""

    @property
    def left_s(self) -> float:
        """The seconds left."""
        return max(0.0, self.until_s - time.perf_counter())

    @property
    def rate(self) -> float | None:
        """The probability with which the call was drawn for an audit; None if it was not drawn.

        A specialist that is asked after an audited one is audited too.
        """
        decision, earlier = self.at
        own = decision.route.audit if decision.route else 0.0
        rate = max([own, *(attempt.rate or 0.0 for attempt in earlier)])
        return rate if self.drawn < rate else None


class Router:
    """Has specialists answer the calls that they may answer. Safe for many threads and event loops.

    home: the workspace's folder; by default PROTEGE_HOME, else `.protege`. Keep one router for each home folder.
    Nothing is read, started or connected before the first call. No call waits for an engine to start, and none waits
    longer than its route's time-out. No method raises, except that `aanswer` can be cancelled. `connect(home) -> Engine
    | None` and `start(home)` replace those of `protege.serve`.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        connect: Callable[[Path], Engine | None] | None = None,
        start: Callable[[Path], object] | None = None,
    ) -> None:
        self.home = home_path(home)
        self._table = TableFile(self.home / "routes.json")
        self._borders = connect, start
        self._links: dict[EngineKey, EngineLink] = {}
        self._lock = threading.Lock()
        self._logged: set[str] = set()
        tell_of_forks(self)

    def decide(self, request: Request, run: str | None = None) -> Decision:
        """Whether a specialist is asked, by the request alone. run: the id of the agent's run, by which the share is
        drawn."""
        try:
            return self._decide(request, run)
        except Exception as error:  # noqa: BLE001 - the agent must get its answer, whatever is wrong here
            self._log_once("deciding", error)
            return Decision(None, None, "router failed")

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        """The specialist's answer if it is kept; else an outcome without a message, and the teacher must answer."""
        with span("protege.route", run=run) as traced:
            return _described(traced, self._answer(request, run))

    def _answer(self, request: Request, run: str | None) -> Outcome:
        asked = self._asked(request, run)
        if isinstance(asked, Outcome):
            return asked
        asking, answer = asked
        try:
            return answer.result(asking.left_s)
        except TimeoutError:  # the engine's client should have given up by itself; the agent does not wait for it
            return self._timed_out(asking)

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        """Like `answer`, without blocking the event loop."""
        with span("protege.route", run=run) as traced:
            return _described(traced, await self._aanswer(request, run))

    async def _aanswer(self, request: Request, run: str | None) -> Outcome:
        asked = self._asked(request, run)
        if isinstance(asked, Outcome):
            return asked
        asking, answer = asked
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), asking.left_s)
        except TimeoutError:
            return self._timed_out(asking)

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Connect to the engine before the first call, and start it if none runs. Returns whether it is connected in
        time."""
        until_s = time.monotonic() + timeout_s
        if not is_believed(self.home):  # an engine would load what anybody may have put there
            return False
        entries = (entry for entries in self._table.current().routes.values() for entry in entries)
        engines = {engine for entry in entries for engine in needed(entry.specialist, entry.scorer)} or {(EMBEDDED, "")}
        return all(self._link(engine).wait(until_s - time.monotonic()) for engine in sorted(engines))

    def forked(self) -> None:
        """Called in a forked child, where a thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection to the engine. The engine itself goes on."""
        for link in list(self._links.values()):
            link.close()

    def _decide(self, request: Request, run: str | None) -> Decision:
        if os.environ.get(ROUTE_VAR, "").lower() == "off":
            return Decision(None, None, "off")
        table = self._table.current()
        if table.assigner is None:
            return Decision(None, None, "no live route")
        task = table.assigner.assign(request)
        if task is None:
            return Decision(None, None, "no task")
        return chain(request, run, task, table.routes.get(task.id, ()))

    def _asked(self, request: Request, run: str | None) -> tuple[_Asking, Future[Outcome]] | Outcome:
        """The outcome that specialists are working on; or the outcome itself, at once, if none is asked."""
        begin_s = time.perf_counter()
        decision = self.decide(request, run)
        try:
            if decision.route is None or decision.specialist is None:
                return _unasked(decision, decision.reason, begin_s)
            link = self._link(engine_of(decision.specialist))
            engine = link.engine()
            if engine is None:
                return _unasked(decision, "engine failed" if link.failed else "engine starting", begin_s)
            # Drawn once, before any answer is known, so that audits are a fair sample of all questions.
            asking = _Asking((decision, ()), begin_s, begin_s + decision.route.timeout_s, _CHANCE.random())
            return asking, _in_thread(lambda: self._cascade(engine, request, asking))
        except Exception as error:  # noqa: BLE001 - as in decide
            self._log_once("asking", error)
            return _unasked(decision, "router failed", begin_s)

    def _cascade(self, engine: Engine, request: Request, asking: _Asking) -> Outcome:
        """The outcome of the first specialist; if it hands its answer back, that of the next one that can be asked."""
        decision, _ = asking.at
        outcome = self._tried(engine, request, asking)
        while (then := _next(decision, outcome, asking.left_s)) is not None and then.specialist is not None:
            engine_of_next = self._link(engine_of(then.specialist)).engine()
            if engine_of_next is None:
                break
            asking.at = then, outcome.attempts
            tried = self._tried(engine_of_next, request, asking)
            if tried.attempt is None:  # not asked after all
                break
            decision, outcome = then, tried
        return outcome

    def _tried(self, engine: Engine, request: Request, asking: _Asking) -> Outcome:
        """The outcome of asking the specialist whose turn it is."""
        decision, earlier = asking.at
        answered, reason = self._work(engine, decision, request, asking)
        return replace(_outcome(decision, answered, reason, asking.begin_s, asking.rate), earlier=earlier)

    def _work(
        self, engine: Engine, decision: Decision, request: Request, asking: _Asking
    ) -> tuple[Answered | None, Reason]:
        route, specialist, task = decision.route, decision.specialist, decision.task
        assert route is not None and specialist is not None and task is not None
        reason: Reason
        answered: Answered | None = None
        link = self._link(engine_of(specialist))
        try:
            if engine.fingerprint(specialist) != route.fingerprint:
                link.refresh()  # another engine may have taken its place
                reason = "fingerprint differs"
            else:
                left_s = asking.until_s - time.perf_counter()
                with link.pace.turn(left_s, route.takes_s):
                    adviser = adviser_of(specialist, decision.scorer, self._link)
                    answered = ask(
                        engine, specialist, task, request, timeout_s=left_s, scorer=decision.scorer, adviser=adviser
                    )
                link.succeeded()
                # Again, because the engine may have been updated meanwhile, and answered as another.
                same = engine.fingerprint(specialist) == route.fingerprint
                reason = _verdict(answered, route) if same else "fingerprint differs"
        except CannotRender:
            reason = "cannot be shown"
        except NotServed:  # not yet, as after a promotion, or no longer; other specialists may be
            link.refresh()
            reason = "not served"
        except EngineBusy:  # the engine is well, but for now the teacher is faster
            reason = "engine busy"
        except NoOpinion as error:
            blame(specialist, error, self._link)
            reason = "no second opinion"
        except EngineError as error:
            link.failure(engine)
            late = isinstance(error, EngineTimeout) or asking.left_s <= 0.05 * (asking.until_s - asking.begin_s)
            reason = "timed out" if late else "engine failed"
            self._log_once("the engine", error)
        except Exception as error:  # noqa: BLE001 - as in decide
            self._log_once("asking", error)
            reason = "router failed"
        return answered, reason

    def _link(self, engine: EngineKey) -> EngineLink:
        with self._lock:
            if engine not in self._links:
                self._links[engine] = link_to(*engine, self.home, *self._borders)
            return self._links[engine]

    def _timed_out(self, asking: _Asking) -> Outcome:
        decision, earlier = asking.at
        if decision.specialist is not None:
            self._link(engine_of(decision.specialist)).failure()
        return replace(_outcome(decision, None, "timed out", asking.begin_s, asking.rate), earlier=earlier)

    def _log_once(self, what: str, error: Exception) -> None:
        """Log a trouble once, by its type alone: its message could hold the content of a call."""
        trouble = f"{what}: {type(error).__name__}"
        if trouble not in self._logged:
            self._logged.add(trouble)
            log.warning("Routing failed while %s; the teacher answers. (Told once.)", trouble)


def _described(traced: Span, outcome: Outcome) -> Outcome:
    """The outcome, after its span was given its attributes."""
    if traced is not OFF_SPAN:
        confidence = outcome.attempt.confidence if outcome.attempt else None
        tokens = {"input_tokens": outcome.input_tokens, "output_tokens": outcome.output_tokens}
        by = outcome.specialist if outcome.message else None
        traced.set(decision=outcome.decision, task=outcome.task_id, answered_by=by, confidence=confidence, **tokens)
    return outcome


_HANDED_ON = ("below threshold", "invalid structure", "cut off", "repetition", "refusal")
"""The reasons after which the next specialist in a cascade is asked. For other troubles, such as an engine that fails
or a request that cannot be shown, nothing was certified."""


def _next(decision: Decision, outcome: Outcome, left_s: float) -> Decision | None:
    """Who is asked next; None if the answer is kept, if nobody is left, or if the time does not suffice."""
    then, attempt = decision.then, outcome.attempt
    if then is None or then.route is None or attempt is None or attempt.reason not in _HANDED_ON:
        return None
    if left_s <= 0 or left_s < then.route.takes_s:
        return None
    return None if keeps(attempt.confidence, then.route.below) else then


_FAULTS: Mapping[str, Reason] = {"cut off": "cut off", "repetition": "repetition", "refusal": "refusal"}


def _verdict(answered: Answered, route: Route) -> Reason:
    if answered.message is None:
        return _FAULTS.get(answered.fault, "invalid structure")
    return "kept" if keeps(answered.confidence, route.threshold) else "below threshold"


def _outcome(
    decision: Decision, answered: Answered | None, reason: Reason, begin_s: float, rate: float | None = None
) -> Outcome:
    """The outcome of asking a specialist. rate: that of the audit that drew the call; None if none did."""
    specialist = decision.specialist
    assert specialist is not None
    kept = reason == "kept" and answered is not None and rate is None
    attempt = None
    if answered is not None or reason not in ("fingerprint differs", "not served"):
        outcome = "kept" if reason == "kept" else "handed_back" if reason == "below threshold" else "failed"
        attempt = Attempt(
            by=specialist.id,
            outcome=outcome if rate is None else "audited",
            reason=reason,
            confidence=answered.confidence if answered else None,
            latency_ms=answered.latency_ms if answered else None,
            content=answered.text if answered else None,
            rate=rate,
        )
    return replace(
        _unasked(decision, "audited" if rate is not None and reason == "kept" else reason, begin_s),
        message=answered.message if kept and answered else None,
        attempt=attempt,
        input_tokens=answered.input_tokens if answered else None,
        output_tokens=answered.output_tokens if answered else None,
    )


def _unasked(decision: Decision, reason: Reason, begin_s: float) -> Outcome:
    """The outcome of a call that no specialist was asked about."""
    return Outcome(
        message=None,
        attempt=None,
        decision=reason,
        specialist=decision.specialist.name if decision.specialist else None,
        specialist_id=decision.specialist.id if decision.specialist else None,
        task_id=decision.task.id if decision.task else None,
        latency_ms=(time.perf_counter() - begin_s) * 1000,
    )


def _in_thread(work: Callable[[], Outcome]) -> Future[Outcome]:
    """Run in a thread of its own. A pool's threads are joined at exit, so a stuck engine would keep the agent alive."""
    future: Future[Outcome] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():  # from here on, a caller that is cancelled leaves the future as it is
            future.set_result(work())

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="protege-ask", daemon=True).start()
    return future
