"""attach(): the recorder in a whole process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from protege import Workspace
from protege.collect import drain
from protege_langchain import ChatProtege, ProtegeCallbackHandler, attach, detach, handler
from protege_langchain.testing import ScriptedTeacher

if TYPE_CHECKING:
    from agents import Records


@pytest.fixture(autouse=True)
def attached(tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(handler, "recorder_of", lambda home: records)
    attach(tmp_path)
    yield
    detach()


async def test_every_call_is_recorded_wherever_it_is_made(records: Records):
    model = ScriptedTeacher(lambda request: "fine")
    model.invoke("a")
    await model.ainvoke("b")
    list(model.stream("c"))
    create_agent(model, [], name="helper").invoke({"messages": [("user", "d")]})  # pyright: ignore[reportArgumentType]
    thread = threading.Thread(target=lambda: model.invoke("e"))
    thread.start()
    thread.join()
    assert [r["messages"][0]["content"] for r in records.kept] == list("abcde")
    assert records.kept[3]["node"] == ["model"]


def test_with_a_callback_or_a_wrapper_a_call_is_still_recorded_once(tmp_path: Path, records: Records):
    model = ScriptedTeacher(lambda request: "fine")
    model.invoke("a", {"callbacks": [ProtegeCallbackHandler(tmp_path)]})
    ChatProtege(model, tmp_path, recorder=records).invoke("b")
    attach(tmp_path)
    model.invoke("c")
    assert len(records.kept) == 3


def test_detached_it_records_nothing(records: Records):
    detach()
    ScriptedTeacher(lambda request: "fine").invoke("a")
    assert records.kept == []


def test_a_raw_thread_that_ran_before_is_recorded_too(records: Records):
    detach()
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(10)
        ScriptedTeacher(lambda request: "fine").invoke("a")
        done.set()

    threading.Thread(target=work, daemon=True).start()
    attach("elsewhere")
    go.set()
    assert done.wait(10)
    assert len(records.kept) == 1


def test_nothing_is_attached_by_importing(tmp_path: Path):
    script = (
        "import protege_langchain, os\n"
        "from langchain_core.language_models import FakeListChatModel\n"
        "FakeListChatModel(responses=['a']).invoke('b')\n"
        "print(os.path.exists('.protege'))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("as_module", [False, True])
def test_protege_record_runs_a_program_that_knows_nothing_of_it(tmp_path: Path, as_module: bool):
    (tmp_path / "agent.py").write_text(
        "import sys\n"
        "from langchain_core.language_models import FakeListChatModel\n"
        "print(FakeListChatModel(responses=['a']).invoke(sys.argv[1]).content, sys.argv[1:])\n"
        "sys.exit(3)\n"
    )
    program = ["-m", "agent"] if as_module else ["agent.py"]
    command = [sys.executable, "-m", "protege.capture.attaching", str(tmp_path / "home"), *program, "hello", "--x"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("a ['hello', '--x']\n", 3), done.stderr
    workspace = Workspace(tmp_path / "home")
    drain(workspace)
    assert [call.request.messages[0]["content"] for call in workspace.calls()] == ["hello"]
    workspace.close()


def test_a_callback_goes_on_where_the_process_is_detached(tmp_path: Path, records: Records):
    model = ScriptedTeacher(lambda request: "fine", callbacks=[ProtegeCallbackHandler(tmp_path)])
    chain = RunnableLambda(lambda said: said) | model
    chain.invoke("a")
    detach()
    chain.invoke("b")
    model.invoke("c")
    assert [record["messages"][0]["content"] for record in records.kept] == ["a", "b", "c"]
