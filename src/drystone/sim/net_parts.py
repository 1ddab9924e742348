"""What a simulated process is made with: how its host is set up, what it finds there, and twins without threads.

Place in a record's life: none. Source: `node/wiring.py`, `gateway/verifiers.py`, `home/room.py`.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from drystone.errors import DiskFull, KeyUnknown
from drystone.formats import note
from drystone.gateway.intake import FoundPlace
from drystone.gateway.senders import Senders
from drystone.gateway.sync.effects import SyncBounds
from drystone.gateway.sync.holdings import member_keys
from drystone.proof.finality import sign_checkpoint
from drystone.records.key import PublicKey, SecretKey
from drystone.service.proofs import SignedHead
from drystone.sim.net_ground import ORIGIN, Ground
from drystone.sim.net_links import Chaos, Network
from drystone.sim.net_time import now_ms
from drystone.sim.power_loss import Disk
from drystone.sim.profiles import Profile
from drystone.storage.ledger import LedgerDB
from drystone.workers.checked import Checked
from drystone.workers.verifier import Checker, Rows, SenderName

ROOM_BYTES: Final = 8_192

Say = Callable[[str], None]


class Plan(NamedTuple):
    """How a host is set up in a run."""

    orders: bool
    dials: Mapping[str, tuple[Profile, Chaos | None]]
    bounds: SyncBounds
    seal_records: int = 8
    skew_ms: int = 0
    check_s: float = 0.0
    """What checking one record takes on this machine's one core."""
    execute_s: float = 0.0
    """What executing one record takes."""


class Machine(NamedTuple):
    """What a process finds where it starts."""

    name: str
    ground: Ground
    plan: Plan
    disk: Disk
    network: Network
    draw: random.Random
    say: Say
    ended: Callable[[object, BaseException], None]
    """Told which process has failed, and of what."""
    marks: set[str]
    """Marker files: they survive as a disk does."""

    def wall_ms(self) -> int:
        """What this host believes the time to be."""
        return now_ms() + self.plan.skew_ms


class InlineChecker:
    """The verifiers' twin without a process: checks at once, in the caller's turn."""

    def __init__(self, senders: Senders, ledger: bytes, *, check_s: float) -> None:
        self._senders = senders
        self._checker = Checker(ledger)
        self._check_s = check_s
        self._core = asyncio.Lock()
        self.batches = 0

    async def check(self, sequence: bytes) -> Checked:
        """Check every record of a CBOR sequence; takes as long as the host's core needs."""
        checked = self._checker.check(sequence, self._ask)
        if self._check_s:
            async with self._core:
                await asyncio.sleep(checked.total * self._check_s)
        return checked

    async def forget(self, members: Sequence[tuple[str, str]] | None) -> None:
        """Judge these members by newer rows from now on; None stands for everybody."""
        self._checker.forget(self._senders.generation, members)

    async def close(self) -> None:
        """Nothing to end."""

    def _ask(self, names: list[SenderName]) -> tuple[int, Rows]:
        return self._senders.rows(names)


class Room:
    """Disk space, as intake and exchange ask for it."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def check(self) -> None:
        """Refuse what would not fit. Raises: DiskFull."""
        most = self._disk.bytes_max
        if most is not None and self._disk.size + ROOM_BYTES > most:
            raise DiskFull("no room on the simulated disk")


class Mark:
    """A marker file, as far as it is used: it is there or it is not."""

    def __init__(self, marks: set[str], name: str) -> None:
        self._marks = marks
        self._name = name

    def exists(self) -> bool:
        """Whether it is there."""
        return self._name in self._marks

    def touch(self, *, mode: int) -> None:  # noqa: ARG002 - as Path has it
        """Put it there."""
        self._marks.add(self._name)

    def unlink(self, *, missing_ok: bool) -> None:  # noqa: ARG002 - as Path has it
        """Take it away."""
        self._marks.discard(self._name)


def monotonic_ms() -> int:
    """A process's own clock for sessions; it never goes back."""
    return int(asyncio.get_running_loop().time() * 1_000)


async def nowhere(stream: tuple[str, ...], *, epoch: int, seq: int) -> FoundPlace | None:
    """Say of no position where it lies: copies are answered without it."""
    del stream, epoch, seq
    return None


class Signer:
    """Signs the ledger's last head, once per head; the twin of what `service/proofs.py` does."""

    def __init__(self, ledger: LedgerDB, secret: SecretKey) -> None:
        self._ledger = ledger
        self._secret = secret
        self._signed: SignedHead | None = None

    def head(self) -> SignedHead:
        """Give the last committed head with the node's note."""
        last = self._ledger.last
        if self._signed is None or self._signed.size != last.size:
            checkpoint = note.Checkpoint(ORIGIN, last.size, last.root)
            line = sign_checkpoint(self._secret, checkpoint)
            signed = note.encode_note(note.Note(note.checkpoint_text(checkpoint), (line,)))
            self._signed = SignedHead(last.size, last.root, signed)
        return self._signed


def convicting(ledger: LedgerDB) -> Callable[[str, str, bytes], PublicKey]:
    """Give the function that finds keys whose signatures convict; it raises KeyUnknown."""
    everybody = member_keys(ledger)

    def key_of(iss: str, sub: str, kid: bytes) -> PublicKey:
        key = everybody(iss, sub, kid)
        if key is None:
            raise KeyUnknown(f"{iss}/{sub} has no key {kid.hex()} that convicts")
        return key

    return key_of
