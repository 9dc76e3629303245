# ruff: noqa: E501
"""The sandbox with programs that nothing but the sandbox holds back."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from labkit.catalog import LabError
from labkit.classroom import sandbox
from labkit.classroom.sandbox import Ended, Limits, require_sandbox, run_sandboxed, sandboxed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
LIMITS = Limits(lab_seconds=20, answer_seconds=1, memory_mib=300, disk_mib=16, processes=30)
# Seconds. It tells an end in time from one at the limit of the run or of the program, 20 s and more; what ended it is
# said by `stopped`. On a machine as busy as CI's, filling 900 MiB alone has taken more than 4 s.
SOON = 15


def run(program: str, limits: Limits = LIMITS, allowed: float | None = None) -> tuple[list[bytes], Ended]:
    """What a Python program reports with `say`, and how it ended."""
    head = "import os, sys\ndef say(text, to=int(sys.argv[1])):\n    os.write(to, str(text).encode() + b'\\n')\n"
    base = Path(sys.base_prefix)
    lines: list[bytes] = []

    def line(data: bytes) -> float | None:
        lines.append(data)
        return allowed

    def command(descriptor: int) -> list[str]:
        python = str(Path(sys.executable).resolve())
        return sandboxed([python, "-c", head + program, str(descriptor)], [(base, str(base))], {}, limits)

    ended = run_sandboxed(command, b"an order", limits, line)
    return lines, ended


def test_it_gets_its_order_and_reports() -> None:
    lines, ended = run("say(sys.stdin.read())\nsay('b' * 3)\nprint('aside')")
    assert lines == [b"an order", b"bbb"] and ended.stopped == "" and "aside" in ended.said


def test_it_sees_no_other_file_no_process_and_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("x")
    monkeypatch.setenv("SECRET_OF_THE_TRAINER", "x")
    lines, _ = run(
        f"say(os.path.exists({str(tmp_path)!r}))\nsay(os.path.exists({__file__!r}))\nsay(sorted(os.listdir('/proc')))\n"
        "say('SECRET_OF_THE_TRAINER' in os.environ)\nsay(os.path.exists('/dev/fd/0'))\nsay(os.path.exists('/etc/passwd'))"
    )
    assert lines == [b"False", b"False", b"['cpuinfo', 'meminfo', 'self', 'stat']", b"False", b"False", b"False"]


@pytest.mark.parametrize(
    "path", ["/planted", "/usr/planted", "/dev/planted", "/proc/planted", f"{sys.base_prefix}/planted"]
)
def test_it_cannot_write_outside(path: str) -> None:
    lines, _ = run(f"try:\n    open({path!r}, 'w')\nexcept OSError as error:\n    say(error.errno)")
    assert lines == [b"30"] and not Path(path).exists()  # 30: a read-only file system


def test_it_does_not_see_where_its_memory_lies() -> None:
    lines, _ = run("say(open('/proc/self/maps').read())\nsay(os.path.exists('/proc/self/mem'))")
    assert lines == [b"", b"False"]


def test_it_cannot_fill_a_disk() -> None:
    fill = (
        "total = 0\ntry:\n    with open({path!r}, 'wb', buffering=0) as file:\n        while True:\n"
        "            total += file.write(b'x' * (1 << 20))\nexcept OSError as error:\n    say(error.errno)\nsay(total >> 20)"
    )
    lines, _ = run(fill.format(path="/sandbox/big"))
    assert lines[0] == b"28" and 8 <= int(lines[1]) <= 16
    lines, _ = run(fill.format(path="/dev/shm/big"))
    assert lines[0] == b"28" and int(lines[1]) <= 64


def test_it_has_its_own_loopback_and_no_network() -> None:
    lines, _ = run(
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\nsay('own')\n"
        "for address in ('1.1.1.1', '10.0.0.1', '169.254.169.254'):\n"
        "    try:\n        socket.create_connection((address, 80), timeout=2)\n"
        "    except OSError as error:\n        say(error.errno)"
    )
    assert lines == [b"own", b"101", b"101", b"101"]  # 101: the network is unreachable


def test_a_server_of_this_machine_cannot_be_reached() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        lines, _ = run(
            f"import socket\ntry:\n    socket.create_connection(('127.0.0.1', {port}), timeout=2)\n    say('in')\n"
            "except OSError as error:\n    say(error.errno)"
        )
    assert lines == [b"111"]


def test_it_has_no_rights_to_give_itself() -> None:
    lines, _ = run(
        "for line in ('os.chroot(\"/\")', 'os.mknod(\"/sandbox/d\", 0o20600, 5)', 'os.setuid(12345)'):\n"
        "    try:\n        eval(line)\n        say('done')\n    except OSError as error:\n        say(error.errno in (1, 22))"
    )
    assert lines == [b"True"] * 3


def test_too_much_memory_ends_it() -> None:
    _, ended = run("held = []\nwhile True:\n    held.append(b'x' * (8 << 20))")
    assert ended.stopped == "more than 300 MiB of memory" and ended.peak_mib > 300 and ended.seconds < SOON


def test_processes_are_counted_by_the_system() -> None:
    # 200 at most: should the limit not hold, this is no bomb for the machine that runs the test.
    lines, ended = run(
        "import resource, time\nresource.setrlimit(resource.RLIMIT_NPROC, (120, 120))\nmade = 0\n"
        "for _ in range(200):\n    try:\n        if os.fork() == 0:\n            time.sleep(30)\n            os._exit(0)\n"
        "    except OSError:\n        break\n    made += 1\nsay(made)\ntime.sleep(5)"
    )
    assert not lines or int(lines[0]) < 125
    assert ended.stopped in ("more than 30 processes", "") and ended.seconds < SOON
    assert not [
        p for p in psutil.process_iter(["name"]) if p.info["name"] == "bwrap" and p.parent() == psutil.Process()
    ]


def test_a_process_in_the_background_ends_with_it() -> None:
    lines, ended = run(
        "import subprocess, time\nfor _ in range(3):\n"
        "    subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(4321)'], start_new_session=True)\n"
        "say('left')"
    )
    assert lines == [b"left"] and ended.stopped == ""
    running = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not any("sleep(4321)" in command for command in running)


def test_silence_after_a_line_and_a_run_without_end_are_ended() -> None:
    _, ended = run("say('begin')\nwhile True:\n    pass", allowed=0.5)
    assert ended.stopped == "an answer took longer than 1 s" and ended.seconds < SOON
    _, ended = run("import time\ntime.sleep(60)", Limits(lab_seconds=0.5))
    assert ended.stopped == "longer than 0.5 s" and ended.seconds < SOON


def test_output_without_end_takes_no_memory_of_ours() -> None:
    before = psutil.Process().memory_info().rss
    limits = Limits(lab_seconds=1.5, disk_mib=16)
    _, ended = run("while True:\n    os.write(int(sys.argv[1]), b'x' * 65536)", limits)
    assert ended.stopped == "longer than 1.5 s"
    assert psutil.Process().memory_info().rss - before < 50 << 20


def test_it_cannot_end_or_trace_its_keeper() -> None:
    lines, ended = run(
        "import signal\nfor pid in (os.getppid(), 1):\n    try:\n        os.kill(pid, signal.SIGKILL)\n"
        "    except OSError:\n        pass\nsay('alive')"
    )
    assert lines in ([b"alive"], []) and ended.seconds < SOON


def test_without_bubblewrap_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.unavailable.cache_clear()
    monkeypatch.setattr("shutil.which", lambda name: None)
    try:
        with pytest.raises(LabError, match=r"apt install bubblewrap.*never run outside"):
            require_sandbox()
    finally:
        sandbox.unavailable.cache_clear()


def test_where_namespaces_are_refused_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    sandbox.unavailable.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        with pytest.raises(LabError, match="No permissions to create new namespace"):
            require_sandbox()
    finally:
        sandbox.unavailable.cache_clear()
