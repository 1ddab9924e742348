"""A node's child processes and threads, its lock, and the socket it listens on: what the system gives and takes back.

Every child gets one end of a socket pair as its first argument and lives as long as the other end: when the front is
gone, however it went, its children read end-of-file and go too. The lock is inherited by the executor, so that a new
node opens no file while an old executor may still write. Nothing here knows what is said over a channel.

Source: design.md section 7 (processes of a node).
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from drystone.errors import HomeInvalid, PortTaken
from drystone.home.layout import Home
from drystone.workers import channel

Result = TypeVar("Result")

LOCK_S_MAX: Final = 4.0
"""How long a new node waits for what is left of an old one."""

LOCK_POLL_S: Final = 0.02

END_S_MAX: Final = 5.0
"""How long a child may take to end once its channel is closed."""

LISTEN_BACKLOG: Final = 1_024


class Worker:
    """One thread that runs blocking functions one after the other: the way blocking work leaves the loop."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, function: Callable[[], Result]) -> Result:
        """Give the function's result, or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def close(self) -> None:
        """Finish what was begun and end the thread."""
        self._thread.shutdown()


class Child(NamedTuple):
    """A process of this node and the front's end of its channel."""

    process: subprocess.Popen[bytes]
    end: socket.socket


@contextlib.contextmanager
def locked(home: Home) -> Generator[int]:
    """Hold a node's exclusive right to its home; gives the descriptor that a child inherits to hold it too.

    Waits a little for a predecessor's last process. The lock goes with the last process that holds it.

    Raises:
        HomeInvalid: another node runs in this home.
    """
    home.lock.parent.mkdir(exist_ok=True)
    deadline = time.monotonic() + LOCK_S_MAX
    with home.lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise HomeInvalid(f"another node runs in {home.root}") from None
                time.sleep(LOCK_POLL_S)
        yield file.fileno()


class Children:
    """The processes that one front has started."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._ends: list[socket.socket] = []
        """Our ends of channels to processes that a child of ours has forked, and waits for."""

    def spawn(
        self, module: str, arguments: Sequence[str] = (), *, keep: Sequence[int] = ()
    ) -> Child:
        """Start a module as a child with a channel; its descriptor is the child's first argument.

        `keep` are further descriptors that it inherits.
        """
        own, other = channel.pair()
        with other:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(other.fileno()), *arguments],
                pass_fds=[other.fileno(), *keep],
                stdin=subprocess.DEVNULL,
            )
        child = Child(process, own)
        self._children.append(child)
        return child

    def spawn_forking(
        self, module: str, arguments: Sequence[str], *, count: int
    ) -> list[socket.socket]:
        """Start a module once, to fork into `count` processes with a channel each; give our ends.

        What the module imports is then in memory once. Its last arguments are the others' descriptors.
        """
        pairs = [channel.pair() for _ in range(count - 1)]
        others = [other.fileno() for _, other in pairs]
        first = self.spawn(module, [*arguments, *map(str, others)], keep=others)
        for own, other in pairs:
            other.close()
            self._ends.append(own)
        return [first.end, *(own for own, _ in pairs)]

    def end(self) -> None:
        """Close what is open of their channels and wait for their end; kill those that do not."""
        deadline = time.monotonic() + END_S_MAX
        for end in (*self._ends, *(child.end for child in self._children)):
            # Not only closed: a loop that failed may still hold the descriptor.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        PortTaken: another process listens there, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"{host}:{port}: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise PortTaken(f"{host}:{port}: {'in use' if taken else error}") from error
    listener.settimeout(0)
    return listener


def url_of(listener: socket.socket) -> str:
    """Give the address under which this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    if listener.family == socket.AF_INET6:
        host = f"[{'::1' if host == '::' else host}]"
    elif host == "0.0.0.0":  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://{host}:{port}"


def core_count() -> int:
    """Give the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes(pids: Sequence[int]) -> int:
    """Give the resident memory of processes; what they share is counted once for each.

    On systems without `/proc` only this process is counted.
    """
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/statm").read_bytes().split()
        except OSError:
            continue
        total += int(fields[1]) * resource.getpagesize()
    return total or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
