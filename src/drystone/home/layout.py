"""A node's home: where its files lie, how they come to be, and what of them must fit together.

| file | who writes | what is lost with it |
|---|---|---|
| `config.toml` | the operator | settings: defaults again |
| `genesis.cbor` | `init` | nothing can be opened; every node of the ledger has the same |
| `keys/node.key` | `init` | the node can sign no vertex or checkpoint: a new one is enrolled |
| `keys/operator.key` | `init` | nobody here can enrol: another organisation's governor helps |
| `keys/operator.token` | `init` | write access without a signature: make a new one |
| `keys/tokens.json` | `token` | tokens given out: make new ones |
| `ca/` | `ca` | the authority for links: make a new one, issue everybody's certificate anew |
| `tls/` | `ca enrol` | links to other nodes: have the certificate issued again |
| `audit.jsonl*` | the front | who was denied what |
| `vertices.db` | the front | acknowledged records and all bodies |
| `mirror.db` | a gateway's front | nothing: a gateway asks its uplink again |
| `ledger.db` | the executor | order and state; `fsck --rebuild` or a backup brings them back |
| `trust.json` | `init` | nothing: anyone's copy will do |
| `run/` | the front | nothing: it is made again at each start |

This file makes a home and opens one; it starts nothing. Source: design.md sections 3.6 and 7.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from drystone.errors import HomeInvalid
from drystone.formats import cose, note
from drystone.home import config
from drystone.home.keyfolder import (
    KeyFile,
    make_private_folder,
    read_key_file,
    write_key_file,
    write_private,
)
from drystone.ledger import rows
from drystone.ledger.apply import apply_genesis
from drystone.ledger.genesis import (
    PROTOCOL,
    FirstMember,
    Genesis,
    decode_genesis,
    encode_genesis,
    prove,
)
from drystone.proof.trust import Trust, format_trust
from drystone.records.header import check_id
from drystone.records.key import SecretKey
from drystone.storage.ledger import LedgerDB
from drystone.storage.memory import MemoryView
from drystone.storage.vertices import VertexDB

OPERATOR: Final = "operator"
"""Member id of the key that `init` makes for the person who runs the node."""

TOKEN_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one node lies."""

    root: Path

    @property
    def config(self) -> Path:
        """Settings; its presence says that the home is complete."""
        return self.root / "config.toml"

    @property
    def genesis(self) -> Path:
        """From which the ledger starts."""
        return self.root / "genesis.cbor"

    @property
    def keys(self) -> Path:
        """Folder of secrets, 0700."""
        return self.root / "keys"

    @property
    def node_key(self) -> Path:
        """Key that signs vertices, checkpoints and receipts."""
        return self.keys / "node.key"

    @property
    def operator_key(self) -> Path:
        """Key that signs enrolments and proposals."""
        return self.keys / "operator.key"

    @property
    def token(self) -> Path:
        """What an unsigned write over HTTP must show."""
        return self.keys / "operator.token"

    @property
    def tokens(self) -> Path:
        """Hashes of the tokens that the operator gave out."""
        return self.keys / "tokens.json"

    @property
    def ca(self) -> Path:
        """Folder of the certificate authority for links, where this home is one; 0700."""
        return self.root / "ca"

    @property
    def tls(self) -> Path:
        """Folder of the certificates that links need; written by `ca enrol`, or by hand."""
        return self.root / "tls"

    @property
    def audit(self) -> Path:
        """Denied requests; written by the front only."""
        return self.root / "audit.jsonl"

    @property
    def vertices(self) -> Path:
        """Intake and vertices; written by the front only."""
        return self.root / "vertices.db"

    @property
    def ledger(self) -> Path:
        """Blocks, state, log; written by the executor only."""
        return self.root / "ledger.db"

    @property
    def mirror(self) -> Path:
        """A gateway's copy of the registry and of what became of its vertices; written by the front only."""
        return self.root / "mirror.db"

    @property
    def trust(self) -> Path:
        """What a verifier needs to check this ledger's receipts."""
        return self.root / "trust.json"

    @property
    def endpoints(self) -> Path:
        """Where a running node listens; absent while none runs."""
        return self.root / "run" / "endpoints.json"

    @property
    def lock(self) -> Path:
        """Held by a running node's processes."""
        return self.root / "run" / "lock"


class Identity(NamedTuple):
    """Who a node is: ledger, key and settings, read once at the start."""

    home: Home
    settings: config.Settings
    genesis: Genesis
    genesis_bytes: bytes
    ledger: bytes
    node: KeyFile
    token: str

    @property
    def vkey(self) -> str:
        """C2SP verifier key of the node's checkpoints; its name is the log's origin."""
        return note.format_vkey(self.genesis.origin, note.TYPE_ED25519, self.node.secret.public.raw)


def init_home(
    root: Path,
    *,
    org: str,
    node_name: str,
    origin: str,
    org_name: str | None = None,
    entropy: Callable[[int], bytes] = os.urandom,
    now_ms: int | None = None,
) -> Identity:
    """Make a home for the first node of a new ledger: keys, genesis, databases, settings, trust file.

    `org` and `node_name` are ids, `origin` names the log (a domain and a path, as C2SP has it). Nothing is
    overwritten; `config.toml` is written last, so that a home without it is one that was never finished.

    Raises:
        HomeInvalid: the folder exists and is not empty.
        IdMalformed, GenesisInvalid: a name is none.
    """
    home = Home(root)
    for name in (org, node_name):
        check_id(name)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise HomeInvalid(f"{root} is not empty; nothing is overwritten")
    secrets = {
        (org, node_name): SecretKey.generate(cose.ALG_EDDSA, entropy(32)),
        (org, OPERATOR): SecretKey.generate(cose.ALG_EDDSA, entropy(32)),
    }
    genesis = _first_genesis(
        secrets,
        org=org,
        org_name=org_name or org,
        node_name=node_name,
        origin=origin,
        time_ms=time.time_ns() // 1_000_000 if now_ms is None else now_ms,
    )
    data = encode_genesis(genesis)
    decode_genesis(data)
    root.mkdir(parents=True, exist_ok=True)
    make_private_folder(home.keys)
    for path, name in ((home.node_key, node_name), (home.operator_key, OPERATOR)):
        write_key_file(path, KeyFile(organisation=org, member=name, secret=secrets[org, name]))
    write_private(home.token, entropy(TOKEN_BYTES).hex().encode() + b"\n")
    write_private(home.genesis, data)
    start = apply_genesis(genesis, MemoryView())
    LedgerDB.create(home.ledger, data, start.change).close()
    VertexDB.create(home.vertices, start.ledger).close()
    node = secrets[org, node_name].public
    write_public(home.trust, format_trust(_first_trust(origin, start.ledger, node.raw)))
    write_public(home.config, config.sample().encode())
    return open_home(root)


def open_home(root: Path) -> Identity:
    """Read a home's settings, genesis and node key; open no database.

    Raises:
        HomeInvalid: no home, an unfinished one, or one whose node is not in its genesis.
        ConfigInvalid, GenesisInvalid, KeyFileInvalid: a file is not what it should be.
    """
    home = Home(root)
    if not home.config.is_file():
        raise HomeInvalid(f"{root} is no home: there is no config.toml")
    settings = config.read_settings(home.config, os.environ)
    try:
        data = home.genesis.read_bytes()
        token = home.token.read_text().strip()
    except OSError as error:
        raise HomeInvalid(f"{error.filename}: {error.strerror}") from error
    genesis = decode_genesis(data)
    node = read_key_file(home.node_key)
    known = {(member.iss, member.sub): member.key for member in genesis.members}
    first = settings.node.role == "node"  # The others are enrolled later: their uplink knows them.
    if first and known.get((node.organisation, node.member)) != node.secret.public:
        raise HomeInvalid("keys/node.key is not the key of a member in genesis.cbor")
    ledger = apply_genesis(genesis, MemoryView()).ledger
    return Identity(home, settings, genesis, data, ledger, node, token)


def write_public(path: Path, data: bytes) -> None:
    """Replace a file by `data`, whole or not at all; everybody may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_endpoints(home: Home, *, url: str, pids: dict[str, list[int]], ledger: bytes) -> None:
    """Say where the node listens and which processes it has, for those who may read the home."""
    fields = {"url": url, "ledger": ledger.hex(), "pids": pids}
    write_public(home.endpoints, (json.dumps(fields, indent=1) + "\n").encode())


def _first_genesis(
    secrets: dict[tuple[str, str], SecretKey],
    *,
    org: str,
    org_name: str,
    node_name: str,
    origin: str,
    time_ms: int,
) -> Genesis:
    node, operator = secrets[org, node_name].public, secrets[org, OPERATOR].public
    genesis = Genesis(
        origin=origin,
        time_ms=time_ms,
        protocol=PROTOCOL,
        approvals=1,
        organisations=((org, org_name),),
        members=(
            FirstMember(org, node_name, (rows.GATEWAY, rows.VALIDATOR), node),
            FirstMember(org, OPERATOR, (rows.ENROLLER, rows.GOVERNOR), operator),
        ),
        proofs=(),
    )
    return prove(genesis, secrets)


def _first_trust(origin: str, ledger: bytes, key: bytes) -> Trust:
    vkey = note.format_vkey(origin, note.TYPE_ED25519, key)
    return Trust(origin=origin, ledger=ledger, nodes=(note.parse_vkey(vkey),), need=1)
