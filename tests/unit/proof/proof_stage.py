"""A small log, a node, two witnesses and a device of our own, for tests that issue what they verify."""

from hashlib import sha256

from drystone.formats import cose, note, senml
from drystone.proof import finality, receipt
from drystone.proof.trust import Trust
from drystone.records import record
from drystone.records.key import SecretKey
from drystone.trees import log

ORIGIN = "ledger.example/main"
LEDGER = sha256(b"ledger").digest()


def secret(name: str) -> SecretKey:
    return SecretKey.generate(cose.ALG_EDDSA, sha256(name.encode()).digest())


NODE = secret("node")
OTHER_NODE = secret("other node")
WITNESS = secret("witness")
DEVICE = secret("device")


def verifier(key: SecretKey, *, name: str = ORIGIN, kind: int = note.TYPE_ED25519) -> note.Verifier:
    return note.parse_vkey(note.format_vkey(name, kind, key.public.raw))


TRUST = Trust(origin=ORIGIN, ledger=LEDGER, nodes=(verifier(NODE),), need=1)


def reading(seq: int = 0, *, device: str | None = None) -> bytes:
    pack = senml.write_pack([senml.Measurement("e", "Wh", 41_000 + seq, 1_762_340_400 + seq)])
    return record.write_record(
        secret=DEVICE,
        iss="ewz",
        sub="m-1",
        epoch=0,
        seq=seq,
        payload=pack,
        content_type=cose.SENML,
        device=device,
    )


class Log:
    """A log that keeps its leaves and answers for any subtree."""

    def __init__(self, entries: list[bytes]) -> None:
        self.leaves = [log.leaf_hash(entry) for entry in entries]

    def node(self, level: int, index: int) -> bytes:
        return log.tree_root(self.leaves[index << level : (index + 1) << level])

    def root(self) -> bytes:
        return log.tree_root(self.leaves)

    def sign(self, *keys: SecretKey) -> finality.NodeFinality:
        head = note.Checkpoint(ORIGIN, len(self.leaves), self.root())
        lines = [finality.sign_checkpoint(key, head) for key in keys or (NODE,)]
        return finality.node_finality(note.checkpoint_text(head), lines)

    def issue(self, index: int, *, final: finality.Finality | None = None) -> bytes:
        size = len(self.leaves)
        return receipt.issue_receipt(
            secret=NODE,
            origin=ORIGIN,
            node="gw-01",
            size=size,
            index=index,
            path=log.inclusion_path(index, size, self.node),
            root=self.root(),
            finality=final or self.sign(),
        )
