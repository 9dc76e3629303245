"""Machines for a training cluster on this computer: one process per task, and a counter on every wire.

What Vertex AI does for a CustomJob with several worker pools, in small: each process gets its TF_CONFIG and runs
trainer.task. None outlives the notebook.
"""

import gc
import itertools
import json
import multiprocessing
import os
import socket
import sys
import threading
import time

LOOPBACK = "127.0.0.1"
# On Linux a process that has imported TensorFlow once is copied for each machine: seconds saved, memory shared.
processes = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


def warm_up():
    """Starts the process that the machines are copied from; it imports while the notebook goes on."""
    if processes.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        processes.set_forkserver_preload(["tensorflow", "tf_keras", "sklearn.datasets"])
        forkserver.ensure_running()


class Wire:
    """The network cable of one machine: hands on every byte and counts it."""

    def __init__(self, port):
        self.received = self.sent = 0  # seen from the machine behind it
        self._machine = (LOOPBACK, port)
        self._lock = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        except OSError:
            pass
        self._listener.close()

    def _accept(self):
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(caller,), daemon=True).start()

    def _connect(self, caller):
        for _ in range(1000):  # the machine may still be starting
            try:
                machine = socket.create_connection(self._machine)
                break
            except OSError:
                time.sleep(0.02)
        else:
            caller.close()
            return
        threading.Thread(target=self._carry, args=(caller, machine, "received"), daemon=True).start()
        self._carry(machine, caller, "sent")

    def _carry(self, source, destination, count):
        try:
            while data := source.recv(1 << 18):
                with self._lock:
                    setattr(self, count, getattr(self, count) + len(data))
                destination.sendall(data)
        except OSError:
            pass
        for end in (source, destination):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class LocalCluster:
    """`LocalCluster({"worker": 2}, ["--steps=40"], folder)` starts two machines that run trainer.task.

    `pause` names steps after which a task waits for `go_on`: {("worker", 1): [23]}. As a context manager it ends every
    process on the way out.
    """

    def __init__(self, tasks, arguments, folder, pause=None):
        folder.mkdir(parents=True, exist_ok=True)
        ports = {role: [_free_port() for _ in range(count)] for role, count in tasks.items()}
        # Nobody calls the chief of a parameter-server cluster: it has an address and no wire.
        self.wires = {
            (role, index): Wire(port)
            for role, numbers in ports.items()
            for index, port in enumerate(numbers)
            if not (role == "chief" and "ps" in tasks)
        }
        self.addresses = {
            role: [
                self.wires[role, index].address if (role, index) in self.wires else f"{LOOPBACK}:{port}"
                for index, port in enumerate(numbers)
            ]
            for role, numbers in ports.items()
        }
        self.logs = {task: folder / f"{task[0]}-{task[1]}.log" for task in _tasks(ports)}
        self._pipes, self.machines = {}, {}
        for role, index in self.logs:
            ours, theirs = processes.Pipe()
            tf_config = {"cluster": self.addresses, "task": {"type": role, "index": index}}
            port = ports[role][index] if (role, index) in self.wires else None
            stops = (pause or {}).get((role, index), ())
            machine = processes.Process(
                target=_machine,
                args=(tf_config, port, arguments, self.logs[role, index], theirs, stops),
                daemon=True,
            )
            machine.start()
            self._pipes[role, index], self.machines[role, index] = ours, machine

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for machine in self.machines.values():
            machine.kill()
        for machine in self.machines.values():
            machine.join()
        for wire in self.wires.values():
            wire.close()

    def paused(self, role, index, seconds=90):
        """Waits until the task pauses and returns its step."""
        try:
            if self._pipes[role, index].poll(seconds):
                return self._pipes[role, index].recv()
        except EOFError:
            pass
        raise RuntimeError(f"{role} {index} did not pause: {self.log(role, index)[-800:]}")

    def go_on(self, role, index):
        self._pipes[role, index].send("go on")

    def moved(self, role, index):
        """Bytes (received, sent) by each machine from this task's next pause to the one after it."""
        counts = []
        for _ in range(2):
            self.paused(role, index)
            time.sleep(0.1)  # the last bytes of the step arrive
            counts.append({task: (wire.received, wire.sent) for task, wire in self.wires.items()})
            self.go_on(role, index)
        before, after = counts
        return {task: (after[task][0] - before[task][0], after[task][1] - before[task][1]) for task in after}

    def kill(self, role, index):
        """SIGKILL, as when a Spot VM goes or the kernel runs out of memory: no handler runs, nothing is saved."""
        self.machines[role, index].kill()
        self.machines[role, index].join()

    def wait(self, role, index, seconds=90):
        """Waits until the task has ended by itself."""
        self.machines[role, index].join(seconds)
        if self.machines[role, index].exitcode != 0:
            raise RuntimeError(f"{role} {index} did not finish: {self.log(role, index)[-800:]}")

    def alive(self):
        return [f"{role} {index}" for (role, index), machine in self.machines.items() if machine.is_alive()]

    def log(self, role, index):
        """What the task has printed; on Vertex AI this is in Cloud Logging."""
        return self.logs[role, index].read_text(errors="replace")


def _tasks(ports):
    return [(role, index) for role, numbers in ports.items() for index in range(len(numbers))]


# The port of a machine is chosen before the machine opens it. From the range that the system hands out by itself, a
# connection that is made in the meantime could take it; so the numbers lie below that range.
_numbers = itertools.count(os.getpid() * 101)


def _free_port():
    while True:
        port = 20_000 + next(_numbers) % 12_000
        with socket.socket() as candidate:
            try:
                candidate.bind((LOOPBACK, port))
                return port
            except OSError:
                continue


def _machine(tf_config, port, arguments, log, pipe, stops):
    """The life of one machine: a process with its own TF_CONFIG that runs the trainer."""
    gc.freeze()  # memory stays shared with the process that this one was copied from
    threading.Thread(target=_end_with_notebook, daemon=True).start()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["TF_CONFIG"] = json.dumps(tf_config)
    if port:
        os.environ["LISTEN_PORT"] = str(port)
    from trainer import task

    def after_step(step):
        if step in stops:
            pipe.send(step)
            pipe.recv()

    task.main(arguments, after_step)


def _end_with_notebook():
    multiprocessing.parent_process().join()
    os._exit(1)
