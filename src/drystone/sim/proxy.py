"""A bad link between real processes: a proxy that forwards TCP as slowly, late and unreliably as a profile says.

Lives here: the links of one process (`sim/proxy_link.py`) by name; cut, heal, flap, slow and status by call, or by a
line of JSON over a loopback socket. May not: look into what it forwards, or be more than a tool for tests and demos.

    python -m drystone.sim.proxy --seed 7 --link name=a-b,target=127.0.0.1:8421,profile=village
    {"control": "127.0.0.1:41833", "links": {"a-b": "127.0.0.1:41835"}}
    python -m drystone.sim.proxy --control 127.0.0.1:41833 cut a-b

Source: sim/profiles.py; issue 5.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from random import Random
from typing import Any, Final

from drystone.errors import ArgumentsMalformed, ConfigInvalid
from drystone.sim.proxy_link import LOOPBACK, LinkProxy, find_profile
from drystone.transport.link_addresses import address_of, spell

LINE_BYTES_MAX: Final = 65_536
CONTROL_S: Final = 5.0


class Proxies:
    """The links of one process, and the socket by which they are told what to do."""

    def __init__(self, *, seed: int) -> None:
        """Begin without links; the same seed draws the same delays and losses."""
        self._seed = seed
        self.links: dict[str, LinkProxy] = {}
        self.stopped = asyncio.Event()

    async def add(self, name: str, *, target: str, profile: str, listen: str = "") -> str:
        """Make a link; give the address to dial. Raises: ArgumentsMalformed, ConfigInvalid."""
        if name in self.links:
            raise ArgumentsMalformed(f"a second link {name}")
        random = Random(f"{self._seed}/{name}")
        link = LinkProxy(
            name, target=target, profile=find_profile(profile), random=random, listen=listen
        )
        self.links[name] = link
        return await link.start()

    def obey(self, command: Sequence[str]) -> dict[str, Any]:
        """Do what a command says: cut, cut-silent, heal, target ADDRESS, slow PROFILE, flap UP_S DOWN_S, status,
        with a LINK or `all` after the verb; or stop. Give the links' states.

        Raises: ArgumentsMalformed, ConfigInvalid.
        """
        verb, name, *rest = [*command, "all"][: max(2, len(command))]
        if verb == "stop":
            self.stopped.set()
        for link in self._named(name):
            match [verb, *rest]:
                case ["cut"]:
                    link.cut()
                case ["cut-silent"]:
                    link.cut(silent=True)
                case ["heal"]:
                    link.heal()
                case ["target", address]:
                    link.lead(address)
                case ["slow", profile]:
                    link.slow(find_profile(profile))
                case ["flap", up_s, down_s] if _is_time(up_s) and _is_time(down_s):
                    link.flap(up_s=float(up_s), down_s=float(down_s))
                case ["status"] | ["stop"]:
                    pass
                case _:
                    raise ArgumentsMalformed(f"no command {' '.join(command)!r:.80}")
        return {one: link.state()._asdict() for one, link in self.links.items()}

    async def close(self) -> None:
        """End every link."""
        for link in self.links.values():
            await link.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one control connection: a JSON list of words in, the states or an error out, line by line."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                try:
                    words: Any = json.loads(line)
                    told = {"ok": True, "links": self.obey([str(word) for word in words])}
                except (ArgumentsMalformed, ConfigInvalid, ValueError, TypeError) as error:
                    told = {"ok": False, "error": str(error)}
                writer.write(json.dumps(told).encode() + b"\n")
                await writer.drain()
        writer.close()

    def _named(self, name: str) -> Iterator[LinkProxy]:
        if name != "all" and name not in self.links:
            raise ArgumentsMalformed(f"no link {name!r:.80}")
        return iter([self.links[name]] if name != "all" else self.links.values())


@contextlib.asynccontextmanager
async def controlled(proxies: Proxies) -> AsyncGenerator[str]:
    """Let proxies be controlled over a loopback port for as long as the block; gives its address."""
    server = await asyncio.start_server(proxies.answer, LOOPBACK, 0, limit=LINE_BYTES_MAX)
    try:
        yield spell(server.sockets[0].getsockname())
    finally:
        server.close()


def control(address: str, *command: str) -> dict[str, Any]:
    """Tell the proxies of another process what to do; give the states of its links.

    Raises: ArgumentsMalformed (what it says it cannot do), OSError.
    """
    with socket.create_connection(address_of(address), timeout=CONTROL_S) as connection:
        connection.sendall(json.dumps(command).encode() + b"\n")
        with connection.makefile("rb") as file:
            told: dict[str, Any] = json.loads(file.readline())
    if not told["ok"]:
        raise ArgumentsMalformed(told["error"])
    return told["links"]


def _is_time(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


async def run(links: Sequence[str], *, seed: int, until_eof: bool) -> None:
    """Make the links that the command line names, say where they are, serve until told to stop."""
    proxies = Proxies(seed=seed)
    found: dict[str, str] = {}
    loop = asyncio.get_running_loop()
    try:
        for text in links:
            split = [part.partition("=") for part in text.split(",")]
            parts = {key: value for key, _, value in split}
            if not {"name"} <= parts.keys() <= {"name", "target", "profile", "listen"}:
                raise ArgumentsMalformed(f"--link name=[,target=][,profile=][,listen=]: {text!r}")
            found[parts["name"]] = await proxies.add(
                parts["name"],
                target=parts.get("target", ""),
                profile=parts.get("profile", "none"),
                listen=parts.get("listen", ""),
            )
        async with controlled(proxies) as address:
            sys.stdout.write(json.dumps({"control": address, "links": found}) + "\n")
            sys.stdout.flush()
            if until_eof:
                stdin = asyncio.StreamReader()
                await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
                ended = asyncio.create_task(stdin.read())
                ended.add_done_callback(lambda _: proxies.stopped.set())
            await proxies.stopped.wait()
    finally:
        await proxies.close()


def main(arguments: Sequence[str]) -> int:
    """Run proxies, or control those of another process."""
    parser = argparse.ArgumentParser(prog="python -m drystone.sim.proxy")
    parser.add_argument(
        "--link", action="append", default=[], help="name=,target=,profile=,listen="
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until-eof", action="store_true", help="end when stdin does")
    parser.add_argument("--control", help="address of running proxies, to tell them the command")
    parser.add_argument(
        "command", nargs="*", help="cut|cut-silent|heal|target|slow|flap|status|stop LINK ..."
    )
    told = parser.parse_args(arguments)
    try:
        if told.control:
            states = control(told.control, *(told.command or ["status"]))
            sys.stdout.write(json.dumps(states, indent=1) + "\n")
        else:
            asyncio.run(run(told.link, seed=told.seed, until_eof=told.until_eof))
    except (ArgumentsMalformed, ConfigInvalid, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
