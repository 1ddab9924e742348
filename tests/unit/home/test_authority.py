"""The authority for links: what it issues, revokes, keeps; what it refuses."""

import json
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from drystone import limits
from drystone.errors import (
    AlreadyExists,
    ArgumentsMalformed,
    AuthorityInvalid,
    CertificateForeign,
    IdMalformed,
    KeyFileInvalid,
    TlsFilesInvalid,
)
from drystone.formats.cose import ALG_EDDSA, ALG_ES256
from drystone.home.authority import Authority, TlsFiles, install
from drystone.home.certificates import DAY_S, blocks, private_pem, read_certificate, read_revoked
from drystone.records.key import PublicKey, SecretKey

NOW_S = 1_795_000_000
SECRET = SecretKey.generate(ALG_EDDSA, bytes(32))
ENTROPY = Random(1).randbytes


def authority(folder: Path, organisation: str = "ewz") -> Authority:
    made = Authority(folder)
    made.create(organisation=organisation, now_s=NOW_S, entropy=ENTROPY(48))
    return made


def der(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def enrol(by: Authority, sub: str = "gw-1", key: PublicKey = SECRET.public) -> tuple[str, bytes]:
    issued, pem = by.enrol(iss="ewz", sub=sub, key=key, now_s=NOW_S, entropy=ENTROPY(16))
    return issued.serial, pem


def test_certificate_names_the_member_and_holds_its_registered_key(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    serial, pem = enrol(by)
    read = read_certificate(der(pem))
    assert (read.iss, read.sub, read.key) == ("ewz", "gw-1", SECRET.public)
    assert f"{read.serial:032x}" == serial
    assert read.ends_s == NOW_S + 730 * DAY_S


def test_certificate_is_signed_by_the_authority_and_may_sign_nothing(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    root = x509.load_pem_x509_certificate(by.pem)
    leaf = x509.load_pem_x509_certificate(enrol(by)[1])
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_openssl_itself_takes_certificate_and_list(tmp_path: Path) -> None:
    """An independent check of the profile, where the program is there."""
    now_s = int(time.time())
    by = Authority(tmp_path / "ca")
    by.create(organisation="ewz", now_s=now_s, entropy=ENTROPY(48))
    issued, pem = by.enrol(iss="ewz", sub="gw", key=SECRET.public, now_s=now_s, entropy=ENTROPY(16))
    (tmp_path / "leaf.pem").write_bytes(pem)

    def verify() -> str:
        (tmp_path / "all.pem").write_bytes(by.pem + by.crl_pem)
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-crl_check",
            "-CAfile",
            "all.pem",
            "leaf.pem",
        ]
        try:
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            pytest.skip("no openssl program")
        return done.stdout + done.stderr

    assert "leaf.pem: OK" in verify()
    by.revoke(issued.serial, now_s=now_s)
    assert "certificate revoked" in verify()


def test_revoking_by_name_revokes_all_of_a_member_and_nobody_else(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    first, second = enrol(by)[0], enrol(by)[0]
    other, _ = enrol(by, "gw-2")
    revoked = by.revoke("ewz/gw-1", now_s=NOW_S + 5)
    assert {one.serial for one in revoked} == {first, second}
    assert {serial for _, serial in read_revoked(by.crl_pem)} == {int(first, 16), int(second, 16)}
    states = {one.serial: one.state(now_s=NOW_S + 6) for one in by.issued()}
    assert states == {first: "revoked", second: "revoked", other: "valid"}


def test_revoking_by_serial_revokes_one(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    first, second = enrol(by)[0], enrol(by)[0]
    by.revoke(first, now_s=NOW_S)
    assert [one.state(now_s=NOW_S) for one in by.issued()] == ["revoked", "valid"]
    by.revoke("ewz/gw-1", now_s=NOW_S)
    assert {one.revoked_s for one in by.issued()} == {NOW_S}
    assert second in {one.serial for one in by.issued()}


@pytest.mark.parametrize("name", ["ewz/nobody", "", "gw-1", "00"])
def test_revoking_what_was_never_issued_is_refused(tmp_path: Path, name: str) -> None:
    by = authority(tmp_path / "ca")
    enrol(by)
    with pytest.raises(AuthorityInvalid):
        by.revoke(name, now_s=NOW_S)


def test_revoking_twice_is_refused(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    serial, _ = enrol(by)
    by.revoke(serial, now_s=NOW_S)
    with pytest.raises(AuthorityInvalid):
        by.revoke(serial, now_s=NOW_S)


def test_expired_certificate_is_listed_as_such_and_leaves_the_list(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    serial, _ = enrol(by)
    after_s = NOW_S + 732 * DAY_S
    assert [one.state(now_s=after_s) for one in by.issued()] == ["expired"]
    by.revoke(serial, now_s=NOW_S)
    assert len(read_revoked(by.crl_pem)) == 1
    by.renew(now_s=after_s)
    assert read_revoked(by.crl_pem) == frozenset()


def test_secret_is_for_its_owner_only_and_in_no_other_file(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    enrol(by)
    key = tmp_path / "ca" / "ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    secret = json.loads(key.read_text())["secret"]
    others = [path for path in key.parent.iterdir() if path != key]
    assert not any(secret.encode() in path.read_bytes() for path in others)
    assert secret not in repr(by.__dict__)


def test_secret_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    (tmp_path / "ca" / "ca.key").chmod(0o644)
    with pytest.raises(KeyFileInvalid):
        enrol(by)
    assert by.issued() == []


def test_an_authority_is_made_once(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    before = by.pem
    with pytest.raises(AlreadyExists):
        authority(tmp_path / "ca")
    assert by.pem == before


def test_no_authority_enrols_nobody(tmp_path: Path) -> None:
    for act in (
        lambda by: enrol(by),
        lambda by: by.revoke("ewz/gw-1", now_s=NOW_S),
        lambda by: by.renew(now_s=NOW_S),
        lambda by: by.issued(),
        lambda by: by.pem,
    ):
        with pytest.raises(AuthorityInvalid):
            act(Authority(tmp_path))


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[1]", b'{"drystone-certificates": 2, "issued": []}']
)
def test_damaged_memory_is_refused(tmp_path: Path, damage: bytes) -> None:
    by = authority(tmp_path / "ca")
    (tmp_path / "ca" / "issued.json").write_bytes(damage)
    with pytest.raises(AuthorityInvalid):
        enrol(by)


def test_only_ed25519_keys_get_a_certificate(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    with pytest.raises(ArgumentsMalformed):
        enrol(by, key=SecretKey.generate(ALG_ES256, bytes(32)).public)


@pytest.mark.parametrize("days", [0, -1, limits.CERTIFICATE_DAYS_MAX + 1])
def test_days_are_bounded(tmp_path: Path, days: int) -> None:
    by = authority(tmp_path / "ca")
    with pytest.raises(ArgumentsMalformed):
        by.enrol(
            iss="ewz", sub="gw", key=SECRET.public, now_s=NOW_S, entropy=ENTROPY(16), days=days
        )


@pytest.mark.parametrize("sub", ["", "a/b", "ü", "x" * 49])
def test_names_are_ids(tmp_path: Path, sub: str) -> None:
    with pytest.raises(IdMalformed):
        enrol(authority(tmp_path / "ca"), sub)


def test_bound_of_certificates_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CERTIFICATES_MAX", 1)
    by = authority(tmp_path / "ca")
    enrol(by)
    with pytest.raises(ArgumentsMalformed):
        enrol(by)


def test_two_authorities_live_side_by_side_in_a_nodes_files(tmp_path: Path) -> None:
    files = TlsFiles(tmp_path / "tls")
    ours, theirs = authority(tmp_path / "a"), authority(tmp_path / "b")
    install(files, ca=ours.pem, node=enrol(ours)[1], crl=ours.crl_pem)
    install(files, ca=theirs.pem, node=None, crl=theirs.crl_pem)
    serial, pem = enrol(ours)
    ours.revoke(serial, now_s=NOW_S)
    install(files, ca=ours.pem, node=pem, crl=ours.crl_pem)
    ca, node, crl = files.read()
    assert sorted(blocks(ca)) == sorted([ours.pem, theirs.pem])
    assert len(blocks(crl)) == 2
    assert node == pem
    assert {number for _, number in read_revoked(crl)} == {int(serial, 16)}
    assert files.folder.stat().st_mode & 0o777 == 0o700


def test_install_beside_damage_is_refused(tmp_path: Path) -> None:
    files = TlsFiles(tmp_path)
    by = authority(tmp_path / "ca")
    files.ca.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(TlsFilesInvalid):
        install(files, ca=by.pem, node=None, crl=by.crl_pem)
    with pytest.raises(TlsFilesInvalid):
        read_revoked(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")


def test_certificates_that_name_nobody_or_another_kind_of_key_are_refused(tmp_path: Path) -> None:
    by = authority(tmp_path / "ca")
    for wrong in (b"", b"\x30\x00", der(by.pem)):
        with pytest.raises(CertificateForeign):
            read_certificate(wrong)


def test_a_nodes_key_leaves_the_process_encrypted_only() -> None:
    pem = private_pem(SECRET, b"a passphrase")
    assert b"ENCRYPTED PRIVATE KEY" in pem
    assert SECRET.to_bytes() not in pem
