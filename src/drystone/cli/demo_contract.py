"""What the demos of contracts share: putting one on a ledger, devices that sign, a subscriber, values that are kept.

All of it through the installed command, sockets and files; nothing here reaches into a node.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Literal, Self

from drystone.cli.demo_stage import Stage
from drystone.cli.node_access import ledger_id
from drystone.client.messages import Event
from drystone.client.rest import Client, Endpoint
from drystone.errors import DrystoneError
from drystone.formats import cose
from drystone.formats.cbor import Encodable
from drystone.formats.senml import Measurement, write_pack
from drystone.home.keyfolder import KeyFolder
from drystone.records.key import SecretKey
from drystone.records.record import write_call, write_record
from drystone.workshop.folder import APPS

STEPS_MAX: Final = 1_000_000
WAIT_S_MAX: Final = 30.0


def set_up(stage: Stage, *, organisation: str, contract: str) -> bool:
    """Begin a ledger, start its node, and deploy a contract of the program."""
    made = stage.run("init", "--org", organisation, "--node", "gw-1", "--json")
    if not stage.note("drystone init: a new ledger", held=made.code == 0, detail=made.stderr):
        return False
    stage.note(f"node runs, in processes of its own: {stage.start_node()}", held=True)
    return deploy(stage, contract)


def deploy(stage: Stage, contract: str) -> bool:
    """Put a contract that comes with the program on the ledger, with its profiles."""
    folder = str(APPS / contract)
    submitted = stage.run("contract", "submit", folder, "--json")
    deployed = stage.run("contract", "deploy", folder, "--json")
    return stage.note(
        f"drystone contract submit, deploy: {contract}, hash {submitted.json().get('hash', '')[:12]}",
        held=submitted.code == 0 and deployed.code == 0,
        detail=submitted.stderr + deployed.stderr,
    )


class Device:
    """A member that signs readings and calls with its key, one number after the other."""

    def __init__(self, *, organisation: str, member: str, secret: SecretKey, ledger: bytes) -> None:
        """Begin a stream that is empty so far; nobody else signs with this key."""
        self.organisation = organisation
        self.member = member
        self._secret = secret
        self._ledger = ledger
        self.seq = 0
        """Number of the next record."""

    @property
    def address(self) -> str:
        """Its address in a contract."""
        return f"{self.organisation}/{self.member}"

    def reading(self, measurements: Sequence[Measurement]) -> bytes:
        """Sign a reading."""
        return self._sign(write_pack(measurements), cose.SENML)

    def call(self, contract: str, function: str, args: Mapping[str, Encodable]) -> bytes:
        """Sign a call."""
        payload = write_call(
            ledger=self._ledger, contract=contract, function=function, args=args, limit=STEPS_MAX
        )
        return self._sign(payload, cose.CBOR)

    def _sign(self, payload: bytes, content_type: int) -> bytes:
        seq, self.seq = self.seq, self.seq + 1
        return write_record(
            secret=self._secret,
            iss=self.organisation,
            sub=self.member,
            epoch=0,
            seq=seq,
            payload=payload,
            content_type=content_type,
        )


def enrol(
    stage: Stage, node: Client, organisation: str, members: Sequence[str], *options: str
) -> list[Device]:
    """Enrol members of an organisation with the command, and load their keys; none where it failed.

    Another organisation than the node's own has its keys in the folder of its name.
    """
    keys = stage.home / "devices"
    if (stage.folder / organisation).is_dir():
        keys = stage.folder / organisation
        options = (*options, "--as", str(keys / organisation / "operator.key"))
    done = stage.run("device", "enrol", *members, *options, "--keys", str(keys))
    if done.code:
        stage.say(done.stderr)
        return []
    folder = KeyFolder(keys)
    ledger = ledger_id(node)
    loaded = [folder.load(organisation=organisation, member=member) for member in members]
    return [
        Device(organisation=k.organisation, member=k.member, secret=k.secret, ledger=ledger)
        for k in loaded
    ]


def decide(node: Client, records: Sequence[bytes]) -> list[str]:
    """Send records, wait until the ledger has decided, and return the codes of those it did not accept."""
    answers = node.deliver(records, wait="committed")
    codes = [answer.outcome or answer.code for answer in answers]
    return [code for code in codes if code != "accepted"]


def kept(node: Client, contract: str, path: str) -> dict[str, Any]:
    """Return what a contract keeps at a path and below, by path."""
    rows = node.rows(f"/v1/contracts/{contract}/state", {"path": path})
    return {row["path"]: json.loads(row["value"]) for row in rows}


def units(millionths: int | None) -> str:
    """Write millionths of a unit with three decimals."""
    return "-" if millionths is None else f"{Decimal(millionths).scaleb(-6):.3f}"


def summary(stage: Stage, node: Client, *, seconds: float) -> None:
    """Say how many steps held, and how the ledger grew."""
    failed = sum(not held for _, held in stage.held)
    head = node.get("/v1/ledger")["head"]
    stage.say("")
    if failed:
        stage.say(f"[red]{failed} of {len(stage.held)} steps did not hold[/red]")
        return
    stage.say(
        f"[bold]All {len(stage.held)} steps held[/bold] in {seconds:.0f} s:"
        f" {head['height']:,} blocks, {head['size']:,} log entries."
    )


class Follower:
    """A subscriber of a node's events (server-sent events) with a connection of its own; use as a context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        contract: str,
        height: int,
        view: Literal["final", "provisional"] = "final",
    ) -> None:
        """Take the events of `contract` behind the block `height`; those of the provisional view from now on."""
        self._client = Client(endpoint)
        self._contract = contract
        self._view: Literal["final", "provisional"] = view
        self._after = f"{height}.0"
        self._seen: list[tuple[str, dict[str, Any]]] = []
        self._came = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def seen(self, name: str) -> list[dict[str, Any]]:
        """Return the data of every event of this name so far, in order."""
        with self._came:
            return [data for one, data in self._seen if one == name]

    def wait(self, name: str, *, count: int = 1, seconds: float = WAIT_S_MAX) -> bool:
        """Wait until so many events of this name have come; say whether they have."""
        return self._wait_for(lambda: sum(one == name for one, _ in self._seen) >= count, seconds)

    def _wait_for(self, true: Callable[[], bool], seconds: float) -> bool:
        with self._came:
            return self._came.wait_for(true, timeout=seconds)

    def _follow(self) -> None:
        try:
            for event in self._client.events(after=self._after, view=self._view, patience_s=0.0):
                self._take(event)
        except (DrystoneError, RuntimeError):
            # The node ended or the demo did: whoever waits sees that nothing more comes.
            return

    def _take(self, event: Event) -> None:
        if event.name == "event" and event.data["contract"] == self._contract:
            with self._came:
                self._seen.append((event.data["name"], event.data["data"]))
                self._came.notify_all()


class Pace:
    """Ticks of equal length, as far as the machine keeps up."""

    def __init__(self, tick_s: float) -> None:
        """Begin now."""
        self._tick_s = tick_s
        self._next = time.monotonic()

    def wait(self) -> None:
        """Sleep until the next tick."""
        self._next += self._tick_s
        time.sleep(max(0.0, self._next - time.monotonic()))
