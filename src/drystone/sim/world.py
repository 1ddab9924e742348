"""A seeded ledger world in memory: organisations, gateways and devices that sign, seal and apply, without a process.

Every key comes from the seed, so a run can be repeated to the byte. The pipeline is the real one; only disk, network
and clock are missing (the clock counts blocks). Used by tests, benches and vector generators.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drystone.errors import Refused
from drystone.formats import cose, senml
from drystone.formats.cbor import Encodable
from drystone.ledger import keyspace
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import Block, Change, OrderedVertex, Unreadable
from drystone.ledger.genesis import (
    PROTOCOL,
    FirstMember,
    Genesis,
    prove,
    validators_hash,
)
from drystone.records.enrolment import enrolment_proof
from drystone.records.key import SecretKey
from drystone.records.payload import write_call
from drystone.records.record import Record, Verified, check_form, write_record
from drystone.records.vertex import decode_vertex, encode_vertex, seal_vertex
from drystone.storage.memory import MemoryView

START_MS = 1_762_340_400_000
BLOCK_MS = 1_000
METER_PROFILE: dict[str, Encodable] = {
    "name": "electricity",
    "measurements": [{"name": "e", "unit": "Wh"}],
    "register": {"name": "e", "exponent": 0},
}


@dataclass(slots=True)
class Actor:
    """Somebody with a key: device, gateway or operator; `seq` is the next number of its stream."""

    iss: str
    sub: str
    secret: SecretKey
    epoch: int = 0
    seq: int = 0


@dataclass(slots=True)
class Author:
    """A gateway's chain of vertices."""

    actor: Actor
    epoch: int = 0
    seq: int = 0
    parent: bytes | None = None


@dataclass(slots=True)
class World:
    """One ledger and everybody on it. `World.begin(seed)` makes it; `step` is the only thing that moves it."""

    seed: str
    genesis: Genesis
    view: MemoryView
    operator: Actor
    author: Author
    actors: dict[str, Actor] = field(default_factory=dict[str, Actor])
    memory: Memory = field(default_factory=Memory)
    offset_ms: int = 0
    blocks: list[Block] = field(default_factory=list[Block])

    @classmethod
    def begin(cls, seed: str = "drystone", organisations: Sequence[str] = ("ewz",)) -> "World":
        """Return a world after genesis: each organisation with an operator, the first with a gateway `g-1`."""
        first = organisations[0]
        gateway = Actor(first, "g-1", secret_of(seed, first, "g-1"))
        operators = [Actor(iss, "ops", secret_of(seed, iss, "ops")) for iss in organisations]
        members = [
            FirstMember(a.iss, a.sub, ("enroller", "governor"), a.secret.public) for a in operators
        ]
        roles = ("gateway", "validator")
        members.append(FirstMember(first, gateway.sub, roles, gateway.secret.public))
        genesis = Genesis(
            origin="ledger.example/main",
            time_ms=START_MS,
            protocol=PROTOCOL,
            approvals=1,
            organisations=tuple((iss, iss.upper()) for iss in organisations),
            members=tuple(members),
            proofs=(),
        )
        secrets = {(a.iss, a.sub): a.secret for a in (*operators, gateway)}
        genesis = prove(genesis, secrets)
        world = cls(
            seed=seed,
            genesis=genesis,
            view=MemoryView.from_genesis(genesis),
            operator=operators[0],
            author=Author(gateway),
        )
        world.actors = {a.iss + "/" + a.sub: a for a in (*operators, gateway)}
        return world

    def call(
        self,
        actor: Actor,
        contract: str,
        function: str,
        args: Mapping[str, Encodable],
        *,
        ledger: bytes | None = None,
    ) -> bytes:
        """Return a signed call at the actor's next position, which it uses up."""
        payload = write_call(
            ledger=self.view.ledger if ledger is None else ledger,
            contract=contract,
            function=function,
            args=args,
            limit=0,
        )
        return self.sign(actor, payload, content_type=cose.CBOR)

    def reading(self, actor: Actor, wh: int, *, seq: int | None = None, **header: object) -> bytes:
        """Return a signed reading of the register `e`; without `seq` at the actor's next position."""
        measurement = senml.Measurement("e", "Wh", wh, START_MS // 1000 + wh % 1000)
        return self.sign(actor, senml.write_pack([measurement]), seq=seq, **header)

    def sign(
        self, actor: Actor, payload: bytes, *, seq: int | None = None, **header: object
    ) -> bytes:
        """Return a record of `payload`; without `seq` at the actor's next position, which it uses up."""
        if seq is None:
            seq = actor.seq
            actor.seq += 1
        fields: dict[str, object] = {
            "secret": actor.secret,
            "iss": actor.iss,
            "sub": actor.sub,
            "epoch": actor.epoch,
            "seq": seq,
            "content_type": cose.SENML,
        }
        return write_record(payload=payload, **(fields | header))  # pyright: ignore[reportArgumentType]

    def proof(self, iss: str, sub: str, secret: SecretKey) -> str:
        """Return the proof of possession of `secret` for (iss, sub) on this ledger, as hex."""
        return enrolment_proof(secret=secret, iss=iss, sub=sub, ledger=self.view.ledger).hex()

    def newcomer(self, sub: str, *, iss: str | None = None, alg: int = cose.ALG_EDDSA) -> Actor:
        """Return somebody with a key of the seed, not yet enrolled."""
        iss = iss or self.operator.iss
        actor = Actor(iss, sub, secret_of(self.seed, iss, sub, alg))
        self.actors[f"{iss}/{sub}"] = actor
        return actor

    def enrolled(
        self, *subs: str, profile: str = "electricity", alg: int = cose.ALG_EDDSA
    ) -> list[Actor]:
        """Enrol devices in one block (and the meter profile, if it is missing) and return them."""
        actors = [self.newcomer(sub, alg=alg) for sub in subs]
        members: list[Encodable] = [
            {"sub": a.sub, "proof": self.proof(a.iss, a.sub, a.secret), "profile": profile}
            for a in actors
        ]
        records: list[bytes] = []
        if self.view.get(keyspace.profile(self.operator.iss, "electricity")) is None:
            records.append(self.call(self.operator, "registry", "profile", METER_PROFILE))
        for start in range(0, len(members), 32):
            args = {"members": members[start : start + 32]}
            records.append(self.call(self.operator, "registry", "enrol", args))
        change = self.step(records)
        assert all(o.code == "accepted" for o in change.outcomes), change.outcomes
        return actors

    def vertex(self, records: Sequence[bytes], author: Author | None = None) -> bytes:
        """Return a sealed vertex of `records` on top of the author's chain, and move the chain on."""
        author = author or self.author
        header, own_id = seal_vertex(
            secret=author.actor.secret,
            iss=author.actor.iss,
            sub=author.actor.sub,
            epoch=author.epoch,
            seq=author.seq,
            parent=author.parent,
            links=(),
            time_ms=self.time_ms(self.view.height),
            records=records,
            entries=[hashlib.sha256(record).digest() for record in records],
            ledger=self.view.ledger,
        )
        author.seq, author.parent = author.seq + 1, own_id
        return encode_vertex(header, records)

    def time_ms(self, height: int) -> int:
        """Return the time of the block at `height`: one block a second, moved by `offset_ms`."""
        return START_MS + BLOCK_MS * height + self.offset_ms

    def block(self, *vertices: bytes) -> Block:
        """Return the next block over `vertices`, nothing in it verified yet."""
        height = self.view.height + 1
        return Block(
            height=height,
            time_ms=self.time_ms(height),
            vertices=[ordered(vertex) for vertex in vertices],
            validators=validators_hash(self.genesis.validators()),
            protocol=PROTOCOL,
        )

    def step(self, records: Sequence[bytes]) -> Change:
        """Seal `records` into one vertex of the gateway, apply it as one block, install and return the Change."""
        return self.take(self.block(self.vertex(records)))

    def take(self, block: Block) -> Change:
        """Apply `block` and install its Change."""
        change = apply(self.view, block, self.memory)
        self.view.install(change)
        self.blocks.append(block)
        return change


def ordered(vertex: bytes) -> OrderedVertex:
    """Read a vertex as an engine would hand it over when nobody has verified a signature."""
    header, body = decode_vertex(vertex)
    assert body is not None
    items: list[Verified | Record | Unreadable] = []
    for raw in body:
        try:
            items.append(check_form(raw))
        except Refused as error:
            items.append(Unreadable(error.code, hashlib.sha256(raw).digest()))
    return OrderedVertex(header, None, items)


def secret_of(seed: str, iss: str, sub: str, alg: int = cose.ALG_EDDSA) -> SecretKey:
    """Return the key of (iss, sub) in the world of `seed`."""
    entropy = hashlib.sha256(f"{seed}/{iss}/{sub}".encode()).digest()
    return SecretKey.generate(alg, entropy)
