"""Runs inside the sandbox: `sandbox.run` starts it as `python -I -S sandboxed.py`; Protégé never imports it.

It reads a JSON object from standard input: `token`, `program`, `tests`, and the limits. It gives up every right that a
computation does not need, writes "isolated" to standard output, runs the program and its tests, and writes the token if
neither raised. If it cannot give up a right, it writes why and runs nothing.

What is left: system calls that compute, sleep and read files (a seccomp filter; all others fail with EPERM, so no
process, thread, socket, signal or new file can be made); the files of the standard library and the shared libraries
(Landlock); and the time and memory that the limits allow.
"""

import ctypes
import json
import os
import resource
import stat
import struct
import sys

X86_64 = 0xC000003E
ALLOWED = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "lseek": 8, "mmap": 9, "mprotect": 10,
    "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17,
    "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60, "uname": 63,
    "getcwd": 79, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104,
    "geteuid": 107, "getegid": 108, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "getdents64": 217,
    "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
    "newfstatat": 262, "getrandom": 318, "statx": 332, "rseq": 334,
}  # fmt: skip
OPENAT = 257
WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000
"""Flags of openat: write, read and write, create, truncate, append, temporary file."""
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache")
ALL_ACCESS = 0x1FFF
READ_FILE, READ_DIR = 1 << 2, 1 << 3

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    told = json.loads(os.fdopen(0, "rb").read())
    result = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        isolate(told)
    except OSError as error:
        os.write(result, str(error).encode())
        return
    os.write(result, b"isolated")
    scope = {"__name__": "__main__"}
    exec(compile(told["program"], "program", "exec"), scope)
    exec(compile(told["tests"], "tests", "exec"), scope)
    os.write(result, told["token"].encode())
    os._exit(0)  # without running what the program left to be done at exit


def isolate(told: dict[str, int]) -> None:
    """Give up all rights but those that the module's docstring names. Raises OSError if one cannot be given up."""
    prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: the sandbox ends with whoever started it
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS: Landlock and seccomp require it
    forbid_files()
    for limit, most in (
        (resource.RLIMIT_CPU, told["cpu_s"]),
        (resource.RLIMIT_AS, told["memory_bytes"]),
        (resource.RLIMIT_FSIZE, 1024),  # the result is all that is ever written
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    forbid_calls()


def forbid_files() -> None:
    """Landlock (linux/landlock.h): only the libraries can be opened, and only for reading."""
    ruleset = call(444, struct.pack("Q", ALL_ACCESS), 8, 0, doing="Landlock")
    for path in (*sys.path, *LIBRARIES):
        try:
            handle = os.open(path, os.O_PATH)
        except FileNotFoundError:
            continue
        access = READ_FILE | READ_DIR if stat.S_ISDIR(os.fstat(handle).st_mode) else READ_FILE
        call(445, ruleset, 1, struct.pack("=Qi", access, handle), 0, doing="a Landlock rule")
        os.close(handle)
    call(446, ruleset, 0, doing="Landlock for this process")
    os.close(ruleset)


def forbid_calls() -> None:
    """A seccomp filter (linux/seccomp.h, linux/bpf_common.h) that permits ALLOWED, and openat for reading."""
    numbers = list(ALLOWED.values())
    n = len(numbers)
    load, equal, any_bit, back = 0x20, 0x15, 0x45, 0x06
    kill, refuse, allow = 0x80000000, 0x00050001, 0x7FFF0000
    lines = [(load, 0, 0, 4), (equal, 1, 0, X86_64), (back, 0, 0, kill), (load, 0, 0, 0)]
    lines += [(equal, n + 1, 0, OPENAT)]
    lines += [(equal, n - i + 3, 0, number) for i, number in enumerate(numbers)]
    lines += [(back, 0, 0, refuse), (load, 0, 0, 32), (any_bit, 0, 1, WRITING), (back, 0, 0, refuse)]
    lines += [(back, 0, 0, allow)]
    filters = b"".join(struct.pack("HBBI", *line) for line in lines)
    held = ctypes.create_string_buffer(filters)
    program = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(held)))
    prctl(22, 2, ctypes.addressof(program))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        raise OSError(f"the kernel refuses prctl option {option}: {os.strerror(ctypes.get_errno())}")


def call(number: int, *values: object, doing: str) -> int:
    plain = [ctypes.c_long(value) if isinstance(value, int) else value for value in values]
    if (result := libc.syscall(ctypes.c_long(number), *plain)) < 0:
        raise OSError(f"the kernel refuses {doing}: {os.strerror(ctypes.get_errno())}")
    return result


if __name__ == "__main__":
    main()
