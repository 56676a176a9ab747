"""Programs that want out: what they may do is compute."""

from __future__ import annotations

import os
import platform
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from protege.errors import NoSandbox
from protege.evaluate.graders import Code
from protege.evaluate.graders.code import sandbox
from protege.evaluate.graders.code.sandbox import Limits, require_sandbox, run

try:
    require_sandbox()
    REASON = ""
except NoSandbox as error:
    REASON = str(error)
isolated = pytest.mark.skipif(bool(REASON), reason=REASON or "isolated")
SHORT = Limits(cpu_s=1, wall_s=3, memory_bytes=256 << 20)

# Each of these must fail with PermissionError, which the program itself checks: another error would prove nothing.
FORBIDDEN = {
    "fork": "os.fork()",
    "fork bomb": "[os.fork() for _ in range(100)]",
    "process": "import subprocess; subprocess.run(['/bin/true'])",
    "other program": "os.execv('/bin/true', ['true'])",
    "shell": "assert os.system('true') != 0; raise PermissionError",
    "new file": "open('/tmp/protege-sandbox-test', 'w')",
    "file in no folder": "os.open('/tmp', os.O_RDWR | 0o20200000)",
    "file in memory": "os.memfd_create('x')",
    "other file": "open({victim!r}, 'a')",
    "truncated file": "os.truncate({victim!r}, 0)",
    "file gone": "os.unlink({victim!r})",
    "renamed file": "os.rename({victim!r}, '/tmp/protege-sandbox-test')",
    "mode": "os.chmod({victim!r}, 0o777)",
    "folder": "os.mkdir('/tmp/protege-sandbox-test')",
    "link": "os.symlink('/etc/passwd', '/tmp/protege-sandbox-test')",
    "read a file": "open({victim!r}).read()",
    "home folder": "os.listdir({home!r})",
    "users": "open('/etc/passwd').read()",
    "own environment": "open('/proc/self/environ').read()",
    "others' environment": "open('/proc/{parent}/environ').read()",
    "devices": "open('/dev/zero', 'rb')",
    "socket": "import socket; socket.socket()",
    "unix socket": "import socket; socket.socket(socket.AF_UNIX)",
    "pair of sockets": "import socket; socket.socketpair()",
    "connect": "import socket; socket.create_connection(('127.0.0.1', {port}), 1)",
    "signal": "os.kill({parent}, 0)",
    "priority": "os.nice(-5)",
    "root": "os.setuid(0)",
    "other root": "os.chroot('/')",
}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim.txt"
    path.write_text("as it was")
    return path


@isolated
@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_is_no_computation_is_refused(what: str, victim: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        statement = FORBIDDEN[what].format(victim=str(victim), home=str(Path.home()), parent=os.getpid(), port=port)
        checked = f"import os\ntry:\n    {statement}\nexcept PermissionError:\n    refused = True"
        assert run(checked, "assert refused", SHORT).passed
    assert victim.read_text() == "as it was"
    assert not Path("/tmp/protege-sandbox-test").exists()


@isolated
def test_no_thread_can_be_started() -> None:
    program = (
        "import threading\ntry:\n    threading.Thread(target=print).start()\nexcept RuntimeError:\n    refused = True"
    )
    assert run(program, "assert refused", SHORT).passed


@isolated
def test_raw_system_calls_are_refused_too() -> None:
    program = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    tests = "assert libc.syscall({}, 0, 0, 0) == -1 and ctypes.get_errno() == 1"
    for number in (41, 56, 57, 58, 59, 62, 101, 157, 160, 165, 272, 321, 425, 435, 437):  # socket, clone, …, openat2
        assert run(program, tests.format(number), SHORT).passed, number
    assert not run(f"{program}libc.syscall(0x40000000 | 39)", "assert ctypes.get_errno() != 1", SHORT).passed  # x32


@isolated
@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("while True: pass", "killed"),
        ("import time; time.sleep(60)", "out of time"),
        ("x = bytearray(1 << 30)", "failed"),
        ("x = [0]\nwhile True: x += x", "failed"),
        ("def f(): f()\nf()", "failed"),
        ("import ctypes; ctypes.string_at(0)", "killed"),
        ("import os; os._exit(0)", "failed"),
        ("raise SystemExit(0)", "failed"),
        ("import os; os.close(0)", "failed"),
        ("import os; os.write(0, b'x' * 5000)", "failed"),
        ("import os; os.write(0, b'isolated')", "failed"),
        ("import os; os.lseek(0, 0, 0); os.write(0, b'x' * 40)", "failed"),
        ("this is no program", "failed"),
        ("x = '\\x00'; print(x * 10**6)", "passed"),
    ],
)
def test_every_end_has_its_name(program: str, ended: str) -> None:
    began = time.monotonic()
    limits = Limits(cpu_s=1, wall_s=30, memory_bytes=256 << 20) if ended == "killed" else SHORT
    assert run(program, "pass", limits).ended == ended
    assert time.monotonic() - began < 25


@isolated
def test_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "made up")
    assert run("import os", "assert not set(os.environ) - {'LC_CTYPE'}", SHORT).passed


@isolated
def test_the_standard_library_is_there() -> None:
    program = "import collections, dataclasses, datetime, decimal, hashlib, heapq, json, math, random, re, zoneinfo"
    tests = "assert hashlib.sha256(b'x').hexdigest() and random.random() < 1 and zoneinfo.ZoneInfo('Europe/Paris')"
    assert run(program, tests).passed


@isolated
def test_what_the_computer_may_do_itself_is_as_before() -> None:
    run("pass", "", SHORT)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start()
    thread.join()
    assert done and Path("/etc/passwd").read_bytes()


@isolated
def test_code_that_differs_is_the_same_where_both_pass_the_tests() -> None:
    grader = Code("assert double(2) == 4 and double(-1) == -2 and double('a') == 'aa'")
    teacher = "def double(x):\n    return x + x"
    assert grader.agree("def double(y):\n    return y * 2", teacher)
    assert not grader.agree("def double(x):\n    return x ** 2", teacher)
    assert not grader.agree("def twice(x):\n    return x + x", teacher)
    assert not grader.agree("import os; os._exit(0)", teacher)
    assert not grader.agree("I would write a function.", teacher)
    assert not grader.agree(teacher, "def double(x):\n    return 2 - x"), "the teacher's must pass as well"


def unavailable(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sandbox, "_missing", sandbox._missing.__wrapped__)
    monkeypatch.setattr(sandbox, "_run", lambda *_: pytest.fail("it ran"))


def test_where_there_is_no_isolation_nothing_runs_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    unavailable(monkeypatch, "aarch64")
    with pytest.raises(NoSandbox, match=r"aarch64.*Grade without tests"):
        run("pass")
    with pytest.raises(NoSandbox):
        Code("assert True")
    assert Code().agree("x = 1", "x  =  1")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NoSandbox, match="cannot be isolated"):
        require_sandbox()


def test_a_kernel_that_refuses_is_no_isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Path(sandbox.__file__).with_name("sandboxed.py").read_text()
    broken = tmp_path / "sandboxed.py"
    broken.write_text(inside.replace("call(444,", "call(4440,"))
    marker = tmp_path / "ran"
    monkeypatch.setattr(sandbox, "_INSIDE", broken)
    monkeypatch.setattr(sandbox, "_missing", sandbox._missing.__wrapped__)
    with pytest.raises(NoSandbox, match="Landlock"):
        run(f"open({str(marker)!r}, 'w')")
    assert not marker.exists()
