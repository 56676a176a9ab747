"""What Prometheus reads: figures of the workspace, in its format, without a word of any call."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_engine import BASE
from prometheus_client.parser import text_string_to_metric_families
from protege import Attempt, Call, Route, Specialist, Task, Workspace
from protege.errors import ResourceError, WorkspaceError
from protege.report import exposition
from protege.service.metrics import CONTENT_TYPE, metrics_server
from protege.store.records import Event

SECRET = "Anna Kim"
ODD = 'odd "name" \\ with\na line'


def specialist(state: Any = "live", name: str = "colours-v1") -> Specialist:
    return Specialist(name, name, "t", 1, BASE, "slots", state=state, created=1.0)


def tried(call_id: str, outcome: str, reason: str, by: str = "colours-v1") -> Call:
    call = Call.from_record(
        {
            "id": call_id,
            "messages": [{"role": "user", "content": f"What colour does {SECRET} like?"}],
            "response": {"role": "assistant", "content": SECRET},
            "time": 1.7e9,
        }
    )
    return replace(call, attempts=(Attempt(by, outcome, reason, content=SECRET),))  # type: ignore[arg-type]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks(
        [Task("t", "colours", "label", calls=9, cost_usd=0.0002), Task("o", ODD, "label", calls=2)], {}
    )
    workspace.save_specialist(specialist())
    workspace.save_specialist(specialist("retired", "colours-v0"))
    return workspace


def samples(workspace: Workspace) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample that Prometheus' own parser finds; of one series one."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(exposition(workspace)):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(workspace: Workspace, name: str, **labels: str) -> float | None:
    return samples(workspace).get((f"protege_{name}", frozenset(labels.items())))


def test_an_empty_workspace_is_scraped_without_an_error(tmp_path: Path) -> None:
    assert samples(Workspace(tmp_path / "home")) == {("protege_recorded_calls_total", frozenset()): 0}


def test_names_are_escaped_so_that_they_come_back_as_they_are(workspace: Workspace) -> None:
    assert value(workspace, "calls_total", task="colours") == 9
    assert value(workspace, "calls_total", task=ODD) == 2


def test_attempts_are_counted_by_what_came_of_them(workspace: Workspace) -> None:
    workspace.add_calls(
        [
            *(tried(f"k{i}", "kept", "kept") for i in range(5)),
            *(tried(f"a{i}", "audited", "kept") for i in range(3)),
            tried("a3", "audited", "below threshold"),
            tried("f", "failed", "timed out"),
            tried("s", "shadowed", "kept", "colours-v0"),
        ]
    )
    numbers = [row.number for row in workspace.history.attempts(outcomes=("audited",)) if row.reason == "kept"]
    workspace.history.save_agreed({numbers[0]: True, numbers[1]: False})
    live = {"task": "colours", "specialist": "colours-v1"}
    assert value(workspace, "attempts_total", **live, outcome="kept", reason="kept") == 5
    assert value(workspace, "attempts_total", **live, outcome="failed", reason="timed out") == 1
    assert value(workspace, "coverage_ratio", task="colours") == 0.8, "asked afterwards is not asked live"
    assert value(workspace, "audited_total", **live) == 2
    assert value(workspace, "audited_disagreed_total", **live) == 1


def test_savings_are_told_where_both_costs_are_known(workspace: Workspace) -> None:
    workspace.add_calls([tried("k", "kept", "kept")])
    assert value(workspace, "saved_usd", task="colours") is None
    report = {"evaluation": {"latency_p50_ms": 0.0}}
    workspace.save_specialist(Specialist("colours-v1", "colours-v1", "t", 1, BASE, "slots", report=report))
    assert value(workspace, "saved_usd", task="colours") == pytest.approx(0.0002)


def test_terms_states_and_events(workspace: Workspace) -> None:
    workspace.save_route(Route("t", "colours-v1", 0.9812, "f", 0.05, 0.1, 270, 250, 4))
    workspace.history.note(Event("rolled back", f"Because of {SECRET}.", "t", "colours-v1", 1.7e9))
    workspace.history.note(Event("rolled back", "Again.", "gone", None, 1.7e9))
    live = {"task": "colours", "specialist": "colours-v1"}
    assert value(workspace, "certified_threshold", **live) == 0.9812
    assert value(workspace, "certified_epsilon", **live) == 0.05
    assert value(workspace, "certified_delta", **live) == 0.1
    assert value(workspace, "specialist_state", **live, state="live") == 1
    assert value(workspace, "specialist_state", **live, state="retired") == 0
    assert value(workspace, "specialist_state", task="colours", specialist="colours-v0", state="retired") == 1
    assert value(workspace, "events_total", task="colours", what="rolled back") == 1
    assert value(workspace, "events_total", task="gone", what="rolled back") == 1


def test_no_word_of_a_call_is_in_it(workspace: Workspace) -> None:
    workspace.add_calls([tried("k", "kept", "kept")])
    workspace.history.note(Event("live", SECRET, "t", "colours-v1", 1.7e9, {"example": SECRET}))
    assert SECRET not in exposition(workspace)
    assert value(workspace, "recorded_calls_total") == 1


@contextmanager
def served(workspace: Workspace, host: str = "127.0.0.1") -> Iterator[int]:
    with metrics_server(workspace, host, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def get(port: int, path: str = "/metrics", host: str | None = None) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host or f"localhost:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_it_is_served_on_loopback_and_nothing_else_is(workspace: Workspace) -> None:
    with served(workspace) as port:
        status, kind, text = get(port)
        assert (status, kind, text) == (200, CONTENT_TYPE, exposition(workspace))
        assert get(port, "/metrics?x=1")[0] == 200
        assert get(port, "/")[0] == get(port, "/store.db")[0] == 404


def test_a_name_that_was_made_to_lead_here_is_refused(workspace: Workspace) -> None:
    with served(workspace) as port:
        assert get(port, host=f"evil.example:{port}")[0] == 403
        assert get(port, host="[")[0] == 403
        for host in ("localhost", f"127.0.0.1:{port}", "[::1]:9464"):
            assert get(port, host=host)[0] == 200
    with served(workspace, "0.0.0.0") as port:
        assert get(port, host="metrics.example")[0] == 200


def test_a_scrape_sees_what_came_since_the_last(workspace: Workspace) -> None:
    with served(workspace) as port:
        assert "protege_attempts_total{" not in get(port)[2]
        workspace.add_calls([tried("k", "kept", "kept")])
        assert 'outcome="kept"' in get(port)[2]


def test_a_workspace_that_cannot_be_read_is_an_error_and_the_next_scrape_is_served(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Workspace) -> int:
        raise WorkspaceError("The store cannot be opened.")

    with served(workspace) as port:
        with monkeypatch.context() as patched:
            patched.setattr("protege.service.metrics.drain", broken)
            assert get(port)[0] == 503
        assert get(port)[0] == 200


def test_a_port_that_is_taken_is_named(workspace: Workspace) -> None:
    with served(workspace) as port, pytest.raises(ResourceError, match=f"127.0.0.1:{port}.*--port"):
        metrics_server(workspace, port=port)
