"""A process with links and nothing else: every message it hears it answers, every tick it says how it stands.

Started by tests with a home, a listening address and peers; it talks JSON lines on stdout and ends with stdin. Its
registry is a file of the test's, read again at each question, as a gateway's view of the ledger would be.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Collection
from pathlib import Path
from random import Random
from typing import NamedTuple

from drystone.errors import DrystoneError
from drystone.formats.cose import ALG_EDDSA
from drystone.home.authority import TlsFiles
from drystone.home.config import PeerSettings, SyncSettings
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import Home
from drystone.records.dag import Author
from drystone.records.key import PublicKey
from drystone.transport.links import Hooks, Links

TICK_MS = 100


class Said(NamedTuple):
    send: list[bytes]
    close: DrystoneError | None
    wake_ms: int | None


class Counting:
    """Sends numbered messages as fast as they are answered; `book` outlives the link, as a disk would."""

    def __init__(self, book: "Book") -> None:
        self.book = book

    def opened(self, now_ms: int) -> Said:
        return Said([b"?" + str(self.book.sent).encode()], None, now_ms + TICK_MS)

    def received(self, message: bytes, now_ms: int) -> Said:
        kind, number = message[:1], int(message[1:])
        if kind == b"!":
            self.book.sent = max(self.book.sent, number + 1)
            return Said([b"?" + str(self.book.sent).encode()], None, None)
        self.book.heard = max(self.book.heard, number)
        return Said([b"!" + message[1:]], None, None)

    def tick(self, now_ms: int) -> Said:
        return Said([], None, now_ms + TICK_MS)


class Book:
    """What a process has said and heard of one peer."""

    def __init__(self) -> None:
        self.sent = 0
        self.heard = -1


class Registry:
    """Public keys by name, from a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keys_of(self, name: Author) -> Collection[PublicKey]:
        key = json.loads(self.path.read_text()).get(f"{name.iss}/{name.sub}")
        return () if key is None else (PublicKey(ALG_EDDSA, bytes.fromhex(key)),)


def tell(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def run(arguments: argparse.Namespace) -> None:
    home = Home(Path(arguments.home))
    key = read_key_file(home.node_key)
    books: dict[Author, Book] = {}

    async def nothing(peer: Author, effects: Said) -> None:
        return

    def on_closed(peer: Author, fault: DrystoneError | None) -> None:
        tell(closed=f"{peer.iss}/{peer.sub}", code=fault.code if fault else None)

    links = Links(
        own=Author(key.organisation, key.member),
        secret=key.secret,
        files=TlsFiles(home.tls),
        settings=SyncSettings(
            listen=arguments.listen,
            idle_s=arguments.idle_s,
            peers=tuple(
                PeerSettings(name=name, address=address)
                for name, _, address in (text.partition("=") for text in arguments.peer)
            ),
        ),
        hooks=Hooks(
            on_session=lambda peer, _: Counting(books.setdefault(peer, Book())),
            keys_of=Registry(Path(arguments.registry)).keys_of,
            on_effects=nothing,
            on_closed=on_closed,
        ),
        clock_ms=lambda: time.monotonic_ns() // 1_000_000,
        unix_s=time.time,
        random=Random(arguments.seed),
    )
    stop = asyncio.Event()
    stdin = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)

    async def obey() -> None:
        """Answer each line with how things stand; end with the last."""
        while await stdin.readline():
            rows = [
                {
                    "peer": f"{one.peer.iss}/{one.peer.sub}",
                    "connected": one.connected,
                    "links": one.links,
                    "received_bytes": one.received_bytes,
                    "sent_bytes": one.sent_bytes,
                    "faults": one.faults,
                    "sent": books.get(one.peer, Book()).sent,
                    "heard": books.get(one.peer, Book()).heard,
                }
                for one in links.report()
            ]
            tell(rows=rows, listening=links.listening, refused=dict(links.refused))
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(links.run(stop))
        group.create_task(obey())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--listen", default="")
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--idle-s", type=int, default=5)
    asyncio.run(run(parser.parse_args()))
