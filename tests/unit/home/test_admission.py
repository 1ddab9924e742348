"""A gateway's home, its request and its admission: what each must say, and whom it is for."""

import json
from pathlib import Path
from typing import Any

import pytest

from drystone.errors import (
    ArgumentsMalformed,
    EnrolmentProof,
    GenesisInvalid,
    HomeInvalid,
    IdMalformed,
    TrustMalformed,
)
from drystone.home.admission import (
    ADMISSION_FILE,
    REQUEST_FILE,
    Admission,
    init_gateway_home,
    read_request,
    take_admission,
    write_admission,
)
from drystone.home.authority import Authority, TlsFiles
from drystone.home.config import PeerSettings
from drystone.home.layout import Identity, init_home, open_home
from drystone.ledger import keyspace
from drystone.storage.fsck import fsck
from drystone.storage.mirror import MirrorDB

UPLINK = PeerSettings(name="ewz/node-1", address="127.0.0.1:8421", uplink=True)


@pytest.fixture
def node(tmp_path: Path) -> Identity:
    return init_home(tmp_path / "node", org="ewz", node_name="node-1", origin="l.example/x")


def make(node: Identity, root: Path, **changes: Any) -> Identity:
    options: dict[str, Any] = {
        "genesis": node.genesis_bytes,
        "trust": node.home.trust.read_bytes(),
        "org": "ewz",
        "name": "gw-7",
        "listen": "127.0.0.1:0",
        "peers": (UPLINK,),
    }
    return init_gateway_home(root, **(options | changes))


def admission_for(
    node: Identity, gateway: Identity, *, ledger: bytes | None = None, member: str = "gw-7"
) -> bytes:
    authority = Authority(node.home.ca)
    if not node.home.ca.exists():
        authority.create(organisation="ewz", now_s=1_700_000_000, entropy=b"e" * 48)
    _, pem = authority.enrol(
        iss="ewz", sub=member, key=gateway.node.secret.public, now_s=1_700_000_000,
        entropy=member.ljust(16, "-").encode(),
    )  # fmt: skip
    admission = Admission("ewz", member, ca=authority.pem, node=pem, crl=authority.crl_pem)
    return write_admission(admission, ledger=ledger or node.ledger)


def test_a_gateways_home_holds_all_that_it_needs_and_fsck_finds_nothing(
    node: Identity, tmp_path: Path
) -> None:
    made = make(node, tmp_path / "gw")
    again = open_home(tmp_path / "gw")
    assert again.ledger == made.ledger == node.ledger
    assert again.settings.node.role == "gateway"
    assert again.settings.sync.peers == (UPLINK,)
    assert again.settings.sync.listen == "127.0.0.1:0"
    assert again.home.node_key.stat().st_mode & 0o077 == 0
    assert fsck(tmp_path / "gw") == []
    mirror = MirrorDB.open(again.home.mirror, node.ledger)
    assert mirror.get(keyspace.member("ewz", "node-1")) is not None
    mirror.close()


def test_a_request_shows_the_possession_of_the_gateways_key(node: Identity, tmp_path: Path) -> None:
    made = make(node, tmp_path / "gw")
    request = read_request((tmp_path / "gw" / REQUEST_FILE).read_bytes(), ledger=node.ledger)
    assert (request.organisation, request.member) == ("ewz", "gw-7")
    assert request.key == made.node.secret.public


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "a/b"}, IdMalformed),
        ({"org": ""}, IdMalformed),
        ({"genesis": b"\x00"}, GenesisInvalid),
        ({"trust": b"{}"}, TrustMalformed),
    ],
)
def test_a_home_is_not_made_from_what_does_not_fit(
    node: Identity, tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make(node, tmp_path / "gw", **changes)
    assert not (tmp_path / "gw" / "config.toml").exists()


def test_a_trust_file_of_another_ledger_is_refused(node: Identity, tmp_path: Path) -> None:
    other = init_home(tmp_path / "other", org="ewz", node_name="node-1", origin="l.example/y")
    with pytest.raises(GenesisInvalid):
        make(node, tmp_path / "gw", trust=other.home.trust.read_bytes())


def test_nothing_is_overwritten(node: Identity, tmp_path: Path) -> None:
    make(node, tmp_path / "gw")
    with pytest.raises(HomeInvalid):
        make(node, tmp_path / "gw")


def test_a_request_for_another_ledger_or_with_another_name_is_refused(
    node: Identity, tmp_path: Path
) -> None:
    make(node, tmp_path / "gw")
    data = (tmp_path / "gw" / REQUEST_FILE).read_bytes()
    with pytest.raises(EnrolmentProof):
        read_request(data, ledger=bytes(32))
    fields = json.loads(data)
    with pytest.raises(EnrolmentProof):
        read_request(json.dumps(fields | {"member": "gw-8"}).encode(), ledger=node.ledger)


@pytest.mark.parametrize(
    "change",
    [
        {"drystone-request": 2},
        {"extra": "x"},
        {"member": 7},
        {"proof": "zz"},
        {"ledger": None},
    ],
)
def test_a_request_of_another_shape_is_refused(
    node: Identity, tmp_path: Path, change: dict[str, Any]
) -> None:
    make(node, tmp_path / "gw")
    fields = json.loads((tmp_path / "gw" / REQUEST_FILE).read_bytes()) | change
    with pytest.raises((ArgumentsMalformed, EnrolmentProof)):
        read_request(json.dumps(fields).encode(), ledger=node.ledger)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{" * 100_000, b'{"drystone-request": 1}'])
def test_what_is_no_request_is_refused(node: Identity, data: bytes) -> None:
    with pytest.raises(ArgumentsMalformed):
        read_request(data, ledger=node.ledger)


def test_an_admission_is_installed_once_and_removed(node: Identity, tmp_path: Path) -> None:
    gateway = make(node, tmp_path / "gw")
    assert not take_admission(gateway)
    path = tmp_path / "gw" / ADMISSION_FILE
    path.write_bytes(admission_for(node, gateway))
    assert take_admission(gateway)
    assert not path.exists()
    ca, own, crl = TlsFiles(gateway.home.tls).read()
    assert b"BEGIN CERTIFICATE" in ca
    assert b"BEGIN CERTIFICATE" in own
    assert b"BEGIN X509 CRL" in crl
    assert not take_admission(gateway)


def test_an_admission_of_somebody_else_is_refused_and_stays(node: Identity, tmp_path: Path) -> None:
    gateway = make(node, tmp_path / "gw")
    path = tmp_path / "gw" / ADMISSION_FILE
    for data in (
        admission_for(node, gateway, member="gw-8"),
        admission_for(node, gateway, ledger=bytes(32)),
        b"{}",
    ):
        path.write_bytes(data)
        with pytest.raises(ArgumentsMalformed):
            take_admission(gateway)
        assert path.exists()
