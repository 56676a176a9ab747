"""The teacher asked again: how far it agrees with itself, through a real server and through any callable."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from openai_server import FAIL, OpenAIServer
from protege import Call, Request, Task, Template, Workspace
from protege.call import Reply, text_of
from protege.chat import teacher as teachers
from protege.chat.teacher import body_of, openai_compatible
from protege.curate import CurateSettings, curate
from protege.errors import BadInput, Refused, TeacherError
from protege.evaluate.graders import grader_for
from protege.measure.ceiling import Ceiling, examples_to_ask, known_ceiling, measure_ceiling
from protege.redact import RedactionPolicy
from protege.report import gather, status, write_report
from protege.store import DataSet, ImprovementRow
from protege.task import Kind, TemplatePart

SYSTEM = "You name the colour of a thing. Answer with one word."
TOOL = {
    "type": "function",
    "function": {"name": "paint", "parameters": {"type": "object", "properties": {"colour": {"type": "string"}}}},
}
KEY = "sk-not-to-be-seen-0123456789"


def record(i: int, kind: Kind = "label") -> dict[str, Any]:
    words = ("lamp", "boat", "door", "shoe", "kite", "drum")
    asked = f"{'large ' * (i % 5)}{words[i % 6]} {words[i // 6 % 6]} {words[i // 36 % 6]} {i}"
    found: dict[str, Any] = {
        "id": f"c{i:03}",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}],
        "response": {"role": "assistant", "content": "blue" if i % 4 == 0 else "red"},
        "model": "gpt-4.1",
        "parameters": {"temperature": 0.5, "seed": 7, "n": 3, "logprobs": True, "service": "ours"},
    }
    if kind == "tool_calls":
        function = {"name": "paint", "arguments": json.dumps({"colour": "red"})}
        found["tools"], found["tool_choice"] = [TOOL], "required"
        found["response"] = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}
    return found


def task(kind: Kind = "label") -> Task:
    template = Template("s1", (TemplatePart(0, "system", lines=(SYSTEM,)),))
    return Task("colour", "colour", kind, labels=("red", "blue") if kind == "label" else (), templates=(template,))


def divided(home: Path, kind: Kind = "label") -> Workspace:
    """A workspace whose calls are divided, as `protege improve` leaves it."""
    workspace = Workspace(home)
    workspace.save_tasks([task(kind)], {})
    settings = CurateSettings(min_calibration=5, min_train=5, min_validation=5)
    calls = [Call.from_record(record(i, kind)) for i in range(160)]
    nothing = RedactionPolicy(types=frozenset(), model=False)
    curate(task(kind), calls, settings, nothing).save(workspace.home / "datasets" / "d")
    workspace.findings.save_data_set("colour", DataSet("d"))
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = divided(tmp_path / "home")
    yield workspace
    workspace.close()


def right(request: Request) -> dict[str, Any]:
    """What was recorded."""
    number = int(text_of(request.messages[-1]).split()[-1])
    return {"role": "assistant", "content": "blue" if number % 4 == 0 else "red"}


def test_a_teacher_that_answers_the_same_agrees_with_itself(workspace: Workspace) -> None:
    found = measure_ceiling(workspace, task(), right, calls=12)
    assert (found.agreement, found.n, found.agreed, found.asked_again) == (1.0, 12, 12, True)
    assert found.interval == (pytest.approx(0.025 ** (1 / 12)), 1.0), "the exact interval, which n errors of 0 have"
    assert found.grader == grader_for(task()).name
    assert found.cost_usd is None and found.input_tokens is None, "nothing tells the tokens"
    assert known_ceiling(workspace, "colour") == found, "it is kept"


def test_second_answers_are_graded_and_the_calls_are_the_held_out_ones(workspace: Workspace) -> None:
    rows = examples_to_ask(workspace, task(), 1000)
    asked: list[str] = []

    def always_red(request: Request) -> dict[str, Any]:
        asked.append(text_of(request.messages[-1]))
        return {"role": "assistant", "content": " red "}

    found = measure_ceiling(workspace, task(), always_red, calls=1000)
    reds = sum(row.answer == "red" for row in rows)
    assert 0 < reds < len(rows) and (found.n, found.agreed) == (len(rows), reds)
    assert sorted(asked) == sorted(row.request.messages[-1]["content"] for row in rows)
    low, high = found.interval or (0, 0)
    assert low < found.agreement < high and found.agreement < found.best == pytest.approx(found.agreement**0.5)


def test_answers_without_content_or_with_unreadable_arguments_do_not_agree(tmp_path: Path) -> None:
    workspace = divided(tmp_path / "tools", "tool_calls")
    said = iter(({"function": {"name": "paint", "arguments": "{not json"}}, {"name": "paint", "arguments": {}}))
    lock = threading.Lock()

    def odd(request: Request) -> dict[str, Any]:
        with lock:
            call = next(said, {"function": {"name": "paint", "arguments": '{ "colour" : "red" }'}})
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    found = measure_ceiling(workspace, task("tool_calls"), odd, calls=10)
    assert (found.n, found.agreed) == (10, 8), "a call of other spelling is the same call"


def test_what_the_teacher_refuses_is_counted_apart(workspace: Workspace) -> None:
    first = examples_to_ask(workspace, task(), 1)[0].request.messages[-1]["content"]

    def ask(request: Request) -> dict[str, Any]:
        if text_of(request.messages[-1]) == first:
            raise Refused("Not this one.")
        return right(request)

    found = measure_ceiling(workspace, task(), ask, calls=10)
    assert (found.n, found.agreed, found.refused) == (9, 9, 1)


def test_where_it_refuses_all_nothing_is_kept(workspace: Workspace) -> None:
    def ask(request: Request) -> dict[str, Any]:
        raise Refused("No.", "Ask another.")

    with pytest.raises(Refused, match="Ask another"):
        measure_ceiling(workspace, task(), ask, calls=10)
    assert known_ceiling(workspace, "colour") is None


def test_an_error_ends_it_and_nobody_is_asked_any_more(workspace: Workspace) -> None:
    asked: list[Request] = []

    def ask(request: Request) -> dict[str, Any]:
        asked.append(request)
        raise TeacherError("It is down.")

    with pytest.raises(TeacherError, match="down"):
        measure_ceiling(workspace, task(), ask, calls=18)
    assert len(asked) < 18
    assert known_ceiling(workspace, "colour") is None


def test_tokens_and_cost_are_summed_where_all_are_known(workspace: Workspace) -> None:
    def ask(request: Request) -> Reply:
        return Reply(right(request), "stop", "gpt-4.1", 1000, 100)

    found = measure_ceiling(workspace, task(), ask, calls=10)
    assert (found.input_tokens, found.output_tokens) == (10_000, 1000)
    assert found.cost_usd == pytest.approx(10_000 * 2e-6 + 1000 * 8e-6)
    assert found.same_model

    def unpriced(request: Request) -> Reply:
        return Reply(right(request), "stop", "a model of no list", 1000, 100)

    found = measure_ceiling(workspace, task(), unpriced, calls=10)
    assert found.cost_usd is None and found.input_tokens == 10_000
    assert not found.same_model, "how far two models agree is no ceiling"


def test_without_divided_calls_there_is_nothing_to_ask(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="protege improve colour"):
        measure_ceiling(Workspace(tmp_path / "other"), task(), right)
    with pytest.raises(BadInput, match="at least one"):
        examples_to_ask(workspace, task(), 0)


def test_recorded_repeats_stand_in_until_it_is_measured(workspace: Workspace) -> None:
    assert known_ceiling(workspace, "colour") is None
    figures = {"ceiling": {"prompts": 0, "calls": 0, "share": None}}
    workspace.findings.save_improvement(ImprovementRow("colour", figures=figures))
    assert known_ceiling(workspace, "colour") is None, "no prompt came twice"
    figures["ceiling"] = {"prompts": 30, "calls": 70, "share": 0.9}
    workspace.findings.save_improvement(ImprovementRow("colour", figures=figures))
    assert known_ceiling(workspace, "colour") == Ceiling(0.9, 30, grader="same answer")
    measured = measure_ceiling(workspace, task(), right, calls=5)
    assert known_ceiling(workspace, "colour") == measured


def test_status_and_report_show_it(workspace: Workspace, tmp_path: Path) -> None:
    assert status(workspace)["tasks"][0]["ceiling"] is None
    measure_ceiling(workspace, task(), right, calls=5)
    assert status(workspace)["tasks"][0]["ceiling"]["agreement"] == 1.0
    data = gather(workspace)
    assert data.tasks[0].ceiling and data.tasks[0].ceiling.n == 5
    for suffix in ("html", "md"):
        text = write_report(tmp_path / f"report.{suffix}", data).read_text()
        assert "100.0% of 5 calls asked again" in text, suffix
    assert json.loads(write_report(tmp_path / "r.json", data).read_text())["tasks"][0]["ceiling"]["best"] == 1.0


# Through a server


def request(**fields: Any) -> Request:
    return Call.from_record({**record(1), **fields}).request


def test_a_server_is_asked_as_the_recorded_call_asked(openai_server: OpenAIServer) -> None:
    openai_server.answer = lambda asked: {"content": "red"}
    asked = request(tools=[TOOL], tool_choice="none", response_format={"type": "json_object"})
    answer = openai_compatible(openai_server.url, "gpt-4.1", KEY)(asked)
    sent = openai_server.only
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.asked == {
        "model": "gpt-4.1",
        "messages": record(1)["messages"],
        "temperature": 0.5,
        "seed": 7,
        "tools": [TOOL],
        "tool_choice": "none",
        "response_format": {"type": "json_object"},
    }
    assert answer.message is not None and answer.message["content"] == "red"
    assert answer[1:] == ("stop", "gpt-4.1", 11, 7, None, None, None)


def test_a_history_of_tools_is_sent_in_openai_s_form() -> None:
    call = {"id": "1", "name": "paint", "arguments": {"colour": "red"}}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    body = body_of("m", request(messages=messages, tools=[TOOL["function"]]))
    function = {"name": "paint", "arguments": '{"colour":"red"}'}
    assert body["messages"][1]["tool_calls"] == [{"id": "1", "type": "function", "function": function}]
    assert body["tools"] == [TOOL]
    assert "tool_choice" not in body_of("m", request(tool_choice="auto")), "servers refuse a choice of no tools"


def test_a_ceiling_measured_through_a_server(openai_server: OpenAIServer, workspace: Workspace) -> None:
    openai_server.answer = lambda asked: {"content": "red"}
    found = measure_ceiling(workspace, task(), openai_compatible(openai_server.url, "gpt-4.1"), calls=10)
    assert found.n == len(openai_server.exchanges) == 10
    assert found.model == "gpt-4.1" and found.same_model
    assert found.cost_usd == pytest.approx(10 * (11 * 2e-6 + 7 * 8e-6))
    assert not any("Authorization" in exchange.headers for exchange in openai_server.exchanges), "no key, no header"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Starts a server that answers with these statuses and bodies, one after the other, then the last for ever."""
    monkeypatch.setattr(teachers, "PAUSES_S", (0.01,) * 3)
    servers: list[ThreadingHTTPServer] = []

    def start(*replies: tuple[int, bytes], headers: dict[str, str] | None = None) -> tuple[str, list[int]]:
        sent: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body = replies[min(len(sent), len(replies) - 1)]
                sent.append(status)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v1", sent

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


OK = (200, b'{"choices": [{"message": {"role": "assistant", "content": "red"}, "finish_reason": "stop"}]}')


def test_a_busy_server_is_asked_again(scripted: Callable[..., Any]) -> None:
    url, sent = scripted((429, b""), (503, b""), OK, headers={"Retry-After": "0.01"})
    answer = openai_compatible(url, "m")(request())
    assert sent == [429, 503, 200] and answer.message is not None and answer.message["content"] == "red"
    assert answer.input_tokens is None, "it tells no usage"


@pytest.mark.parametrize("header", ["soon", "-5", "Wed, 21 Oct 2026 07:28:00 GMT", "1e999"])
def test_an_odd_wish_to_wait_is_no_reason_to_wait_for_ever(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.setattr(teachers, "LONGEST_S", 0.02)
    url, sent = scripted((429, b""), OK, headers={"Retry-After": header})
    openai_compatible(url, "m")(request())
    assert sent == [429, 200]


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (429, TeacherError, "status 429, after 4 tries.*--calls"),
        (500, TeacherError, "status 500, after 4 tries"),
        (401, TeacherError, "refuses the key.*--key-variable"),
        (403, TeacherError, "refuses the key"),
        (404, TeacherError, "no such model or path.*--model"),
        (301, TeacherError, "status 301"),
        (400, Refused, "does not accept the request"),
        (422, Refused, "does not accept the request"),
    ],
)
def test_each_trouble_has_its_remedy_and_shows_nothing(
    scripted: Callable[..., Any], caplog: pytest.LogCaptureFixture, status: int, kind: type[Exception], says: str
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = request(messages=[{"role": "user", "content": "the content of a call"}])
    url, sent = scripted((status, f"{KEY} the content of a call".encode()))
    with pytest.raises(kind, match=says) as caught:
        openai_compatible(url, "m", KEY)(secret)
    assert type(caught.value) is kind
    assert len(sent) == (4 if status in (429, 500) else 1)
    for text in (str(caught.value), caplog.text):
        assert KEY not in text and "the content of a call" not in text


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": 3}]}', b'{"choices": [3]}']
)
def test_what_is_no_chat_completion_is_said_to_be_none(scripted: Callable[..., Any], body: bytes) -> None:
    url, _ = scripted((200, body))
    with pytest.raises(TeacherError, match="does not answer with a chat completion"):
        openai_compatible(url, "m")(request())


def test_usage_of_another_form_is_unknown(scripted: Callable[..., Any]) -> None:
    for usage in (b"[1]", b'"many"', b'{"prompt_tokens": "11"}', b"null"):
        url, _ = scripted((200, OK[1][:-1] + b', "usage": ' + usage + b"}"))
        assert openai_compatible(url, "m")(request()).input_tokens is None


def test_a_server_that_is_not_there_or_never_answers_is_given_up(
    scripted: Callable[..., Any], openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TeacherError, match=r"cannot be reached \(ConnectError\), after 4 tries"):
        openai_compatible("http://127.0.0.1:9/v1", "m", KEY)(request())
    monkeypatch.setattr(teachers, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(teachers, "PAUSES_S", ())
    slow = request(messages=[{"role": "user", "content": "take your time"}])
    with pytest.raises(TeacherError, match="does not answer in time"):
        openai_compatible(openai_server.url, "m")(slow)


@pytest.mark.parametrize("url", ["", "api.openai.com/v1", "ftp://a/v1", "http://", "http://a:b:c/", "http://a\n"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(BadInput, match="Give the whole address"):
        openai_compatible(url, "m")


@pytest.mark.parametrize("key", ["a b", "a\nb", "schlüssel", "a\x00"])
def test_a_key_that_no_header_can_hold_is_not_shown(key: str) -> None:
    with pytest.raises(BadInput) as caught:
        openai_compatible("http://a/v1", "m", key)
    assert key not in str(caught.value)


def test_the_path_may_be_given_whole_and_a_query_stays(openai_server: OpenAIServer) -> None:
    for url in (f"{openai_server.url}/", f"{openai_server.url}/chat/completions", f"{openai_server.url}?version=1"):
        assert openai_compatible(url, "m", f" {KEY}\n")(request()).message is not None
    assert {exchange.headers["Authorization"] for exchange in openai_server.exchanges} == {f"Bearer {KEY}"}


# The command


def protege(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from protege.cli import main; main()", *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        env={**{k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"}, **environment},
        check=False,
    )


def test_the_command_says_what_it_will_ask_and_what_came_of_it(
    openai_server: OpenAIServer, workspace: Workspace
) -> None:
    openai_server.answer = lambda asked: {"content": "red"}
    ask = ("ceiling", "colour", "--url", openai_server.url, "--model", "gpt-4.1", "--calls", "8")
    done = protege(workspace.home, *ask, "--key-variable", "MY_KEY", MY_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert "gpt-4.1 will be asked 8 calls again" in done.stderr
    assert "asked again" in done.stdout and KEY not in done.stdout + done.stderr
    assert openai_server.exchanges[0].headers["Authorization"] == f"Bearer {KEY}"
    told = json.loads(protege(workspace.home, *ask, "--json").stdout)
    assert (told["task"], told["n"], told["asked_again"]) == ("colour", 8, True)
    assert "colour" in protege(workspace.home, "status").stdout


def test_the_command_names_a_variable_that_is_not_set(workspace: Workspace) -> None:
    ask = ("ceiling", "colour", "--url", "http://127.0.0.1:9/v1", "--model", "m")
    done = protege(workspace.home, *ask, "--key-variable", "MY_KEY")
    assert done.returncode == 2 and "MY_KEY is not set" in done.stderr


def test_another_model_than_the_recorded_one_is_pointed_out(openai_server: OpenAIServer, workspace: Workspace) -> None:
    openai_server.answer = lambda asked: {"content": FAIL}
    done = protege(workspace.home, "ceiling", "colour", "--url", openai_server.url, "--model", "other", "--calls", "2")
    assert "gpt-4.1, not from other" in " ".join(done.stdout.split())
