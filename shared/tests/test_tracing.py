"""Spans where the program traces, nothing where it does not, and no content in either case."""

from __future__ import annotations

import subprocess
import sys
import timeit
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from protege.common.tracing import span

SECRET = "Anna Kim's card is 4111 1111 1111 1111"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """A tracer provider for this test alone; OpenTelemetry itself lets one be set only once in a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def not_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)


def test_a_span_has_the_conventions_names_and_our_own(exported: InMemorySpanExporter) -> None:
    with span("protege.route", task="colours", model="gpt-4.1", threshold=0.9, specialist=None) as current:
        current.set(reason="kept", output_tokens=3, confidence=None)
    [found] = exported.get_finished_spans()
    assert found.name == "protege.route"
    assert dict(found.attributes or {}) == {
        "protege.task": "colours",
        "gen_ai.request.model": "gpt-4.1",
        "protege.threshold": 0.9,
        "protege.reason": "kept",
        "gen_ai.usage.output_tokens": 3,
    }
    assert found.status.status_code is StatusCode.UNSET
    assert found.instrumentation_scope is not None and found.instrumentation_scope.name == "protege"


def test_spans_stand_within_the_programs_own(exported: InMemorySpanExporter) -> None:
    with trace.get_tracer("program").start_as_current_span("agent"), span("outer"), span("inner"):
        pass
    inner, outer, agent = exported.get_finished_spans()
    assert inner.parent is not None and outer.parent is not None
    assert inner.parent.span_id == outer.context.span_id  # pyright: ignore[reportOptionalMemberAccess]
    assert outer.parent.span_id == agent.context.span_id  # pyright: ignore[reportOptionalMemberAccess]


def test_an_exception_goes_through_and_leaves_its_type_and_no_word_of_it(exported: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="Anna"), span("protege.tune"):
        raise ValueError(SECRET)
    [found] = exported.get_finished_spans()
    assert found.status.status_code is StatusCode.ERROR
    assert dict(found.attributes or {}) == {"error.type": "ValueError"}
    assert "Anna" not in found.to_json() and not found.events


def test_nothing_is_made_where_the_program_has_not_set_tracing_up(not_set_up: None) -> None:
    with span("protege.route", task="t") as current:
        current.set(reason="kept")
        assert not trace.get_current_span().is_recording()
    with pytest.raises(ValueError, match="through"), span("protege.route"):
        raise ValueError("through")


def test_protege_does_not_import_opentelemetry() -> None:
    code = (
        "import sys; from protege.common.tracing import span\n"
        "with span('a', task='t') as s: s.set(reason='kept')\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("imported", [False, True])
def test_off_it_costs_little(monkeypatch: pytest.MonkeyPatch, not_set_up: None, imported: bool) -> None:
    if not imported:
        monkeypatch.delitem(sys.modules, "opentelemetry.trace")

    def traced() -> Any:
        with span("protege.route", task="t", reason="kept"):
            pass

    best_s = min(timeit.repeat(traced, number=10_000, repeat=7)) / 10_000
    assert best_s < 5e-6, "a microsecond, and room for a busy machine"
