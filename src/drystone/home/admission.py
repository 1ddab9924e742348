"""A gateway's or follower's home, and the two files by which it is let in: its request, and the answer to it.

The machine in the field makes its own key, which never leaves it, and a *request* with the proof of possession. The
operator of a node signs the enrolment with it (`drystone gateway admit`) and gives back an *admission*: the certificate
for links and whom it is to trust. Neither file holds a secret. Lives here: making the home, writing and reading both
files. May not: speak to a ledger, or decide who is let in.

    REQUEST     JSON: {"drystone-request": 1, "ledger", "organisation", "member", "proof"}
    ADMISSION   JSON: {"drystone-admission": 1, "ledger", "organisation", "member", "ca", "node", "crl"}

Source: design.md sections 3.3 and 3.6, requirement S1.24.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast

from drystone.errors import (
    ArgumentsMalformed,
    EnrolmentProof,
    GenesisInvalid,
    HomeInvalid,
)
from drystone.formats import cose
from drystone.home import config
from drystone.home.authority import TlsFiles, install
from drystone.home.config import PeerSettings
from drystone.home.keyfolder import KeyFile, make_private_folder, write_key_file, write_private
from drystone.home.layout import TOKEN_BYTES, Home, Identity, open_home, write_public
from drystone.ledger.apply import apply_genesis
from drystone.ledger.genesis import decode_genesis
from drystone.proof.trust import parse_trust
from drystone.records.enrolment import check_enrolment, enrolment_proof
from drystone.records.header import check_id
from drystone.records.key import PublicKey, SecretKey
from drystone.storage.ledger import LedgerDB
from drystone.storage.memory import MemoryView
from drystone.storage.mirror import MirrorDB, SeenBlock
from drystone.storage.vertices import VertexDB

REQUEST_FILE: Final = "request.json"
"""Name of the request in the home that made it."""

ADMISSION_FILE: Final = "admission.json"
"""Name of an admission that was put into the home; it is taken in at the next start."""

FILE_BYTES_MAX: Final = 1_048_576
FILE_VERSION: Final = 1

LINGER_MS: Final = 1_000
"""Records of a gateway wait this long to share a vertex, because over a thin link a header is dear."""

Role = Literal["gateway", "follower"]


class Request(NamedTuple):
    """Who asks to be let in, with the key that it has shown the possession of."""

    organisation: str
    member: str
    proof: bytes
    key: PublicKey


class Admission(NamedTuple):
    """What a gateway needs for links: PEM files, the certificate its own."""

    organisation: str
    member: str
    ca: bytes
    node: bytes
    crl: bytes


def init_gateway_home(
    root: Path,
    *,
    genesis: bytes,
    trust: bytes,
    org: str,
    name: str,
    role: Role = "gateway",
    listen: str = "",
    peers: tuple[PeerSettings, ...] = (),
    entropy: Callable[[int], bytes] = os.urandom,
) -> Identity:
    """Make a home for a gateway or follower of an existing ledger: its key, its databases, its settings, its request.

    Nothing is overwritten; `config.toml` is written last, so that a home without it is one that was never finished.

    Raises:
        HomeInvalid: the folder exists and is not empty.
        IdMalformed, GenesisInvalid, TrustMalformed: a name or a file is none, or the two files are not of one ledger.
    """
    home = Home(root)
    for one in (org, name):
        check_id(one)
    parsed = decode_genesis(genesis)
    start = apply_genesis(parsed, MemoryView())
    if parse_trust(trust).ledger != start.ledger:
        raise GenesisInvalid("the trust file is another ledger's")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise HomeInvalid(f"{root} is not empty; nothing is overwritten")
    secret = SecretKey.generate(cose.ALG_EDDSA, entropy(32))
    root.mkdir(parents=True, exist_ok=True)
    make_private_folder(home.keys)
    write_key_file(home.node_key, KeyFile(organisation=org, member=name, secret=secret))
    write_private(home.token, entropy(TOKEN_BYTES).hex().encode() + b"\n")
    write_private(home.genesis, genesis)
    VertexDB.create(home.vertices, start.ledger).close()
    if role == "gateway":
        make_mirror(home, genesis)
    else:
        LedgerDB.create(home.ledger, genesis, start.change).close()
    write_public(home.trust, trust)
    proof = enrolment_proof(secret=secret, iss=org, sub=name, ledger=start.ledger)
    fields = {"drystone-request": FILE_VERSION, "ledger": start.ledger.hex(), "organisation": org}
    fields |= {"member": name, "proof": proof.hex()}
    write_public(root / REQUEST_FILE, _json(fields))
    write_public(home.config, settings_text(role, listen=listen, peers=peers).encode())
    return open_home(root)


def make_mirror(home: Home, genesis: bytes) -> None:
    """Make a gateway's mirror as of the genesis. Raises: as `MirrorDB.create`."""
    start = apply_genesis(decode_genesis(genesis), MemoryView())
    change = start.change
    MirrorDB.create(
        home.mirror,
        start.ledger,
        genesis=SeenBlock(0, change.log.size, change.block_entry),
        rows=change.writes,
    ).close()


def settings_text(role: Role, *, listen: str, peers: tuple[PeerSettings, ...]) -> str:
    """Give the configuration file of a gateway or follower: what was chosen, and every default explained below it."""
    chosen = {
        "node": [f'role = "{role}"', 'processes = "one"'],
        "intake": [f"linger_ms = {LINGER_MS}"],
        "sync": [f"listen = {json.dumps(listen)}"] if listen else [],
    }
    lines: list[str] = []
    for line in config.sample().splitlines():
        lines.append(line)
        if line.startswith("["):
            lines += chosen.get(line.strip("[]"), [])
    for peer in peers:
        lines += ["[[sync.peers]]", f"name = {json.dumps(peer.name)}"]
        lines.append(f"address = {json.dumps(peer.address)}")
        lines += ["uplink = true", ""] if peer.uplink else [""]
    return "\n".join(lines)


def read_request(data: bytes, *, ledger: bytes) -> Request:
    """Read a request and check its proof of possession.

    Raises:
        ArgumentsMalformed: the bytes are no request.
        EnrolmentProof: it is for another ledger, or the proof does not hold.
    """
    fields = _fields(data, "drystone-request", {"ledger", "organisation", "member", "proof"})
    if fields["ledger"] != ledger.hex():
        raise EnrolmentProof("the request is for another ledger")
    org, name = check_id(fields["organisation"]), check_id(fields["member"])
    try:
        proof = bytes.fromhex(fields["proof"])
    except ValueError as error:
        raise ArgumentsMalformed("the request's proof is not hexadecimal") from error
    key = check_enrolment(proof, iss=org, sub=name, ledger=ledger)
    return Request(org, name, proof, key)


def write_admission(admission: Admission, *, ledger: bytes) -> bytes:
    """Give the bytes of an admission file."""
    fields = {"drystone-admission": FILE_VERSION, "ledger": ledger.hex()}
    fields |= {"organisation": admission.organisation, "member": admission.member}
    pems = {"ca": admission.ca, "node": admission.node, "crl": admission.crl}
    return _json(fields | {name: pem.decode("ascii") for name, pem in pems.items()})


def take_admission(identity: Identity) -> bool:
    """Install the admission that was put into the home, if there is one; say whether there was.

    Raises:
        ArgumentsMalformed: the file is none, or another gateway's or ledger's.
    """
    path = identity.home.root / ADMISSION_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    names = {"ledger", "organisation", "member", "ca", "node", "crl"}
    fields = _fields(data, "drystone-admission", names)
    node = identity.node
    whose = (fields["ledger"], fields["organisation"], fields["member"])
    if whose != (identity.ledger.hex(), node.organisation, node.member):
        raise ArgumentsMalformed(f"{path} is for {whose[1]}/{whose[2]}, or of another ledger")
    install(
        TlsFiles(identity.home.tls),
        ca=fields["ca"].encode(),
        node=fields["node"].encode(),
        crl=fields["crl"].encode(),
    )
    path.unlink()
    return True


def _json(fields: Mapping[str, object]) -> bytes:
    return (json.dumps(fields, indent=1) + "\n").encode()


def _fields(data: bytes, kind: str, names: set[str]) -> dict[str, str]:
    if len(data) > FILE_BYTES_MAX:
        raise ArgumentsMalformed(f"{len(data)} bytes are no {kind}")
    try:
        loaded: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArgumentsMalformed(f"no {kind}: {error}") from error
    if not isinstance(loaded, dict):
        raise ArgumentsMalformed(f"no {kind}: one JSON object is expected")
    fields = cast("dict[str, Any]", loaded)
    if fields.pop(kind, None) != FILE_VERSION or set(fields) != names:
        raise ArgumentsMalformed(f"no {kind} of version {FILE_VERSION}")
    if not all(isinstance(value, str) for value in fields.values()):
        raise ArgumentsMalformed(f"no {kind}: every member is text")
    return fields
