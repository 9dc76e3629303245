"""The command of a warm kernelspec: asks the fork server for a kernel and stands for it until it ends.

    python -S -E launcher.py SOCKET COLD-COMMAND ... -- KERNEL-ARGUMENTS ...

Signals are passed on to the kernel. Without a server it says so in one line and becomes the cold command. It starts
with every kernel, so it imports little and nothing of this project.
"""

import array
import json
import os
import signal
import socket
import struct
import sys

NUMBER = struct.Struct("i")


def main(path: str, command: list[str]) -> int:
    split = command.index("--")
    cold, arguments = command[:split], command[split + 1 :]
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
        pid = ask(connection, arguments)
    except OSError as error:
        print(f"labs: no warm kernel ({error.strerror or error}); a cold one is started", file=sys.stderr, flush=True)
        os.execv(cold[0], cold + arguments)
    note = note_kernel(pid)
    pass_signals_on(pid)
    try:
        return wait(connection)
    finally:
        # Its process id will be another process' one day.
        try:
            os.unlink(note)
        except OSError:
            pass  # nobody has asked for one, or the command has ended and taken it along


def ask(connection: socket.socket, arguments: list[str]) -> int:
    """Sends the request and returns the kernel's process id."""
    request = {"arguments": arguments, "folder": os.getcwd(), "variables": dict(os.environ)}
    body = json.dumps(request).encode()
    streams = array.array("i", [0, 1, 2]).tobytes()
    connection.sendmsg([NUMBER.pack(len(body))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(body)
    answer = connection.recv(NUMBER.size)
    if len(answer) < NUMBER.size:
        raise OSError(0, "the server ended")
    return int(NUMBER.unpack(answer)[0])


def note_kernel(pid: int) -> str:
    """The kernel is no child of whoever started this launcher; who measures it reads here which process it is.

    Returns the note's path, "" where nobody asks for notes.
    """
    folder = os.environ.get("LABKIT_WARM_KERNELS")
    if not folder:
        return ""
    path = os.path.join(folder, str(os.getpid()))
    with open(path, "w") as file:
        file.write(str(pid))
    return path


def pass_signals_on(pid: int) -> None:
    def passed(number: int, _: object) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, passed)


def wait(connection: socket.socket) -> int:
    """The kernel's exit status; 1 when the server has ended. A launcher whose parent is gone ends, and with it the
    connection and the kernel."""
    parent = os.getppid()
    connection.settimeout(1)
    while os.getppid() == parent:
        try:
            answer = connection.recv(NUMBER.size)
        except TimeoutError:
            continue
        if len(answer) < NUMBER.size:
            return 1
        status = int(NUMBER.unpack(answer)[0])
        # A negative status is a signal: the shell's way to say it.
        return status if status >= 0 else 128 - status
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
