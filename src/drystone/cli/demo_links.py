"""The bad links of a demo: a proxy process between real processes, told when to cut and when to heal.

Lives here: starting that process, telling it what to do, reading what went over each link. The proxy is
`sim/proxy.py`, a process of its own that ends when this one does.
"""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from drystone.errors import NodeAbsent
from drystone.sim.proxy import control

END_S: Final = 5.0
LOOPBACK: Final = "127.0.0.1"


class Link(NamedTuple):
    """A link between two members: who dials, who is dialled, and what kind of link it is."""

    dials: str
    answers: str
    profile: str

    @property
    def name(self) -> str:
        """Its name, for the proxy and for people."""
        return f"{self.dials}-{self.answers}"

    def touches(self, member: str) -> bool:
        """Say whether it is one of a member's links."""
        return member in (self.dials, self.answers)


class LinkBytes(NamedTuple):
    """What went over a link so far, and whether it is up."""

    there: int
    back: int
    up: bool


class Links:
    """All links of a demo, in one process; use as a context manager."""

    def __init__(self, links: Iterable[Link], *, ports: Mapping[str, int], seed: int) -> None:
        """`ports` says where each member that is dialled will listen on loopback."""
        self.links = list(links)
        self._ports = ports
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None
        self._control = ""
        self.addresses: dict[str, str] = {}
        """Where to dial instead of the member itself, by link."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "drystone.sim.proxy", "--seed", str(self._seed)]
        for link in self.links:
            target = f"{LOOPBACK}:{self._ports[link.answers]}"
            command += ["--link", f"name={link.name},target={target},profile={link.profile}"]
        self._process = subprocess.Popen(
            [*command, "--until-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        if not told:
            raise NodeAbsent("the proxy between gateways did not start")
        found: dict[str, Any] = json.loads(told)
        self._control, self.addresses = found["control"], found["links"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cut(self, member: str) -> None:
        """Cut every link of a member."""
        self._tell("cut", member)

    def heal(self, member: str) -> None:
        """Mend every link of a member."""
        self._tell("heal", member)

    def states(self) -> dict[str, LinkBytes]:
        """Give what went over each link, by its name."""
        found = control(self._control, "status")
        return {
            name: LinkBytes(one["there_bytes"], one["back_bytes"], one["up"])
            for name, one in found.items()
        }

    def _tell(self, verb: str, member: str) -> None:
        for link in self.links:
            if link.touches(member):
                control(self._control, verb, link.name)


def free_ports(count: int) -> list[int]:
    """Find ports on loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
