"""The ground on which simulated hosts stand: a small ledger, gateways and devices enrolled, and disks to copy.

Made once per process and shared by every run, because keys, genesis and enrolment are the same for all: what differs
from seed to seed is what happens afterwards. Lives here: who there is, and the files with which each begins. May not:
draw a random number or know the time.

Place in a record's life: before it. Source: design.md sections 3.4 and 3.6.
"""

from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from drystone.formats import cose, note, senml
from drystone.gateway.registry_copy import SPACES
from drystone.ledger import keyspace
from drystone.ledger.apply import apply_genesis
from drystone.ledger.change import Change
from drystone.ledger.genesis import Genesis, encode_genesis, validators_hash
from drystone.limits import ENROL_MEMBERS_MAX
from drystone.proof.trust import Trust
from drystone.records.key import SecretKey
from drystone.records.record import write_record
from drystone.records.vertex import decode_vertex
from drystone.sim.power_loss import Disk
from drystone.sim.world import METER_PROFILE, World, secret_of
from drystone.storage.ledger import LedgerDB
from drystone.storage.memory import MemoryView
from drystone.storage.mirror import MirrorDB, SeenBlock
from drystone.storage.vertices import VertexDB

ISS: Final = "ewz"
ORIGIN: Final = "ledger.example/main"
"""Of the world's genesis."""

NODE: Final = "g-1"
"""The first gateway is the node that orders."""

AUDITOR: Final = "ops"
"""Who submits evidence."""

GATEWAYS_MAX: Final = 9
DEVICES: Final = 6
LEDGER: Final = Path("/ledger.db")
VERTICES: Final = Path("/vertices.db")
MIRROR: Final = Path("/mirror.db")

Image = dict[str, bytes]
"""Files of a disk, by name."""


class Ground(NamedTuple):
    """A ledger at height 1, and everybody on it."""

    genesis: Genesis
    ledger: bytes
    view: MemoryView
    """The state at height 1. Nobody may change it."""
    secrets: dict[str, SecretKey]
    """By member."""
    node_image: Image
    gateway_image: Image
    operator_seq: int
    """Next position in the operator's stream."""

    @property
    def trust(self) -> Trust:
        """Whose checkpoints a gateway believes: the node's."""
        vkey = note.format_vkey(ORIGIN, note.TYPE_ED25519, self.secrets[NODE].public.raw)
        return Trust(origin=ORIGIN, ledger=self.ledger, nodes=(note.parse_vkey(vkey),), need=1)

    @property
    def validators(self) -> bytes:
        """Hash that stands in each block."""
        return validators_hash(self.genesis.validators())


@lru_cache(maxsize=1)
def ground() -> Ground:
    """Return the one ground of this process."""
    return make_ground(hosts=GATEWAYS_MAX, meters=DEVICES)


def make_ground(*, hosts: int, meters: int) -> Ground:
    """Make a ledger with so many hosts, the first of them the node, and so many meters."""
    world = World.begin("net")
    gateways = [f"g-{number}" for number in range(2, hosts + 1)]
    devices = [f"m-{number}" for number in range(meters)]
    secrets = {sub: secret_of("net", ISS, sub) for sub in (NODE, AUDITOR, *gateways, *devices)}
    profile = world.call(world.operator, "registry", "profile", METER_PROFILE)
    members = [
        {"sub": sub, "proof": world.proof(ISS, sub, secrets[sub]), "roles": ["gateway"]}
        for sub in gateways
    ]
    members += [
        {"sub": sub, "proof": world.proof(ISS, sub, secrets[sub]), "profile": "electricity"}
        for sub in devices
    ]
    calls = [profile]
    for begin in range(0, len(members), ENROL_MEMBERS_MAX):
        some = {"members": members[begin : begin + ENROL_MEMBERS_MAX]}
        calls.append(world.call(world.operator, "registry", "enrol", some))
    genesis_bytes = encode_genesis(world.genesis)
    start = apply_genesis(world.genesis, MemoryView()).change
    sealed = world.vertex(calls)
    block = world.block(sealed)
    change = world.take(block)
    assert [one.code for one in change.outcomes] == ["accepted"] * len(calls), change.outcomes
    header, body = decode_vertex(sealed)
    assert body is not None
    ledger_id = world.view.ledger
    gateway_image = _gateway_image(world.view, start)
    disk = Disk()
    store = VertexDB.create(VERTICES, ledger_id, vfs=disk.mount())
    store.seal(header=header.raw, body=b"".join(body))
    store.close()
    database = LedgerDB.create(LEDGER, genesis_bytes, start, vfs=disk.mount())
    database.commit(change, block)
    database.close()
    return Ground(
        genesis=world.genesis,
        ledger=ledger_id,
        view=world.view,
        secrets=secrets,
        node_image=disk.image(),
        gateway_image=gateway_image,
        operator_seq=world.operator.seq,
    )


def _gateway_image(view: MemoryView, start: Change) -> Image:
    """The files of a gateway that was admitted: no vertex, and the registry as of the enrolment."""
    disk = Disk()
    VertexDB.create(VERTICES, view.ledger, vfs=disk.mount()).close()
    rows = {key: value for key, value in view.scan(b"") if keyspace.space_of(key) in SPACES}
    first = SeenBlock(0, start.log.size, start.block_entry)
    MirrorDB.create(MIRROR, view.ledger, genesis=first, rows=rows, vfs=disk.mount()).close()
    return disk.image()


def reading(sub: str, *, seq: int, wh: int, epoch: int = 0) -> bytes:
    """Return a signed reading of a device: its register at this position."""
    return write_record(
        secret=ground().secrets[sub],
        iss=ISS,
        sub=sub,
        epoch=epoch,
        seq=seq,
        payload=senml.write_pack([senml.Measurement("e", "Wh", wh, None)]),
        content_type=cose.SENML,
    )
