"""The certificate authority for links: who may open a connection to whom, beside what the ledger says.

Lives here: making an authority in a folder, certificates over members' registered Ed25519 keys, the list of revoked
ones, the three files that a node reads (`tls/`). May not: open a socket, ask a ledger, or make a member's key: a
certificate says "this organisation lets this member link", the ledger says whose the key is, and both must hold
(`transport/links.py`). An authority's key can therefore not impersonate a member; it can only let one in.

    HOME/ca/ca.key       0600, the authority's secret; with it anyone can let members in or revoke
    HOME/ca/ca.pem       its certificate; public
    HOME/ca/issued.json  what it issued and revoked; the revocation list is made from it
    HOME/ca/crl.pem      the list, signed; public
    HOME/tls/{ca,node,crl}.pem   what a node needs; ca.pem and crl.pem may each hold those of several authorities

Source: RFC 5280 (profile), RFC 8410 (Ed25519), design.md section 4.
"""

import contextlib
import json
import os
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from drystone import limits
from drystone.errors import (
    AlreadyExists,
    ArgumentsMalformed,
    AuthorityInvalid,
    TlsFilesInvalid,
)
from drystone.formats.cose import ALG_EDDSA
from drystone.home.certificates import (
    BACKDATED_S,
    DAY_S,
    DAYS,
    Issued,
    blocks,
    member_certificate,
    private,
    revocation_list,
    self_signed,
)
from drystone.home.keyfolder import (
    KeyFile,
    make_private_folder,
    read_key_file,
    write_key_file,
    write_private,
)
from drystone.records.header import check_id
from drystone.records.key import PublicKey, SecretKey

MEMBER: Final = "ca"
"""Member name in the authority's key file; it is no member of the ledger."""

FILE_VERSION: Final = 1
FILE_BYTES_MAX: Final = 16_777_216
PEM_BYTES_MAX: Final = 4_194_304
SERIAL_BYTES: Final = 16
AUTHORITY_DAYS: Final = 3_650
"""Days for which an authority is valid unless told otherwise."""


class TlsFiles(NamedTuple):
    """Where a node's three files for links lie."""

    folder: Path

    @property
    def ca(self) -> Path:
        """Certificates of the authorities trusted here."""
        return self.folder / "ca.pem"

    @property
    def node(self) -> Path:
        """The node's own certificate."""
        return self.folder / "node.pem"

    @property
    def crl(self) -> Path:
        """Lists of what those authorities revoked."""
        return self.folder / "crl.pem"

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Give the three files' bytes: ca, node, crl. Raises: TlsFilesInvalid when one is missing or too long."""
        found: list[bytes] = []
        for path in (self.ca, self.node, self.crl):
            try:
                data = path.read_bytes()
            except OSError as error:
                raise TlsFilesInvalid(f"{path}: {error.strerror}") from error
            if len(data) > PEM_BYTES_MAX:
                raise TlsFilesInvalid(f"{path} has {len(data)} bytes, at most {PEM_BYTES_MAX}")
            found.append(data)
        return found[0], found[1], found[2]


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is read yet."""
        self.folder = folder

    @property
    def pem(self) -> bytes:
        """The authority's certificate. Raises: AuthorityInvalid."""
        return self._read("ca.pem")

    @property
    def crl_pem(self) -> bytes:
        """The list of revoked certificates, as last signed. Raises: AuthorityInvalid."""
        return self._read("crl.pem")

    def create(
        self, *, organisation: str, now_s: int, entropy: bytes, days: int = AUTHORITY_DAYS
    ) -> None:
        """Make the authority of an organisation from 32 + 16 bytes of entropy: key, certificate, an empty list.

        Raises: AlreadyExists, IdMalformed, ArgumentsMalformed (days).
        """
        check_id(organisation)
        _check_days(days)
        if (self.folder / "ca.key").exists():
            raise AlreadyExists(f"{self.folder} holds an authority already")
        secret = SecretKey.generate(ALG_EDDSA, entropy[:32])
        make_private_folder(self.folder)
        certificate = self_signed(
            organisation,
            private(secret),
            serial=_serial(entropy[32:]),
            now_s=now_s,
            ends_s=now_s + days * DAY_S,
        )
        write_private(self.folder / "ca.pem", certificate)
        self._write([], signer=secret, now_s=now_s)
        # The key last: a folder without it is one that was never finished.
        write_key_file(
            self.folder / "ca.key",
            KeyFile(organisation=organisation, member=MEMBER, secret=secret),
        )

    def enrol(
        self,
        *,
        iss: str,
        sub: str,
        key: PublicKey,
        now_s: int,
        entropy: bytes,
        days: int = DAYS,
    ) -> tuple[Issued, bytes]:
        """Issue a certificate over a member's key from 16 bytes of entropy; give what is remembered and its PEM.

        Does not check that the ledger knows the key: links do, at every handshake.
        Raises: ArgumentsMalformed (not an Ed25519 key, days, too many), IdMalformed, AuthorityInvalid.
        """
        check_id(iss)
        check_id(sub)
        _check_days(days)
        if key.alg != ALG_EDDSA:
            raise ArgumentsMalformed("links need an Ed25519 key; this member's is another")
        with self._locked():
            known = self.issued()
            if len(known) >= limits.CERTIFICATES_MAX:
                raise ArgumentsMalformed(f"{len(known)} certificates are issued, that is the bound")
            made = Issued(
                serial=f"{_serial(entropy):032x}",
                iss=iss,
                sub=sub,
                kid=key.kid().hex(),
                starts_s=now_s - BACKDATED_S,
                ends_s=now_s + days * DAY_S,
            )
            signer = self._secret()
            pem = member_certificate(made, key, issuer_pem=self.pem, signer=signer)
            self._write([*known, made], signer=signer, now_s=now_s)
        return made, pem

    def revoke(self, name: str, *, now_s: int) -> list[Issued]:
        """Revoke a certificate by its serial number, or all of `iss/sub`; sign the list anew; give what was revoked.

        Raises: AuthorityInvalid when nothing valid has that name.
        """
        with self._locked():
            known = self.issued()
            wanted = {
                one.serial
                for one in known
                if name in {one.serial, f"{one.iss}/{one.sub}"} and one.revoked_s is None
            }
            if not wanted:
                raise AuthorityInvalid(f"no certificate of {name} that is not revoked already")
            after = [
                replace(one, revoked_s=now_s) if one.serial in wanted else one for one in known
            ]
            self._write(after, signer=self._secret(), now_s=now_s)
        return [one for one in after if one.serial in wanted]

    def renew(self, *, now_s: int) -> None:
        """Sign the list anew, so that it is valid for longer. Raises: AuthorityInvalid."""
        with self._locked():
            self._write(self.issued(), signer=self._secret(), now_s=now_s)

    def issued(self) -> list[Issued]:
        """Give every certificate issued, the oldest first. Raises: AuthorityInvalid."""
        data = self._read("issued.json")
        try:
            loaded: Any = json.loads(data)
            if loaded["drystone-certificates"] != FILE_VERSION:
                raise AuthorityInvalid(f"{self.folder}/issued.json has another version")
            return [Issued(**one) for one in loaded["issued"]]
        except (ValueError, TypeError, KeyError) as error:
            raise AuthorityInvalid(f"{self.folder}/issued.json: {error}") from error

    def _secret(self) -> SecretKey:
        return read_key_file(self.folder / "ca.key").secret

    def _read(self, name: str) -> bytes:
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise AuthorityInvalid(f"{self.folder}/{name}: {error.strerror}") from error
        if len(data) > FILE_BYTES_MAX:
            raise AuthorityInvalid(f"{self.folder}/{name} has {len(data)} bytes")
        return data

    def _write(self, issued: Sequence[Issued], *, signer: SecretKey, now_s: int) -> None:
        """Remember first, sign then: after a crash between the two the next change signs what is remembered."""
        fields = {"drystone-certificates": FILE_VERSION, "issued": [asdict(one) for one in issued]}
        write_private(self.folder / "issued.json", (json.dumps(fields, indent=1) + "\n").encode())
        pem = revocation_list(issued, issuer_pem=self.pem, signer=signer, now_s=now_s)
        write_private(self.folder / "crl.pem", pem)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the folder for this process; the lock goes with the process, however it ends."""
        import fcntl

        self._read("ca.pem")
        descriptor = os.open(self.folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def install(files: TlsFiles, *, ca: bytes, node: bytes | None, crl: bytes) -> None:
    """Put an authority's certificate and list, and a node's certificate, where the node reads them.

    Other authorities' certificates and lists in the files stay; this authority's are replaced. A running node sees it.
    Raises: TlsFilesInvalid when what is there is not PEM.
    """
    make_private_folder(files.folder)
    write_private(files.ca, _merge(files.ca, ca))
    write_private(files.crl, _merge(files.crl, crl))
    if node is not None:
        write_private(files.node, node)


def _check_days(days: int) -> None:
    if not 1 <= days <= limits.CERTIFICATE_DAYS_MAX:
        raise ArgumentsMalformed(f"days: 1 to {limits.CERTIFICATE_DAYS_MAX}")


def _serial(entropy: bytes) -> int:
    if len(entropy) != SERIAL_BYTES:
        raise ArgumentsMalformed(f"a serial number is made from {SERIAL_BYTES} bytes of entropy")
    # Positive, never zero, and of one length (RFC 5280 section 4.1.2.2).
    return int.from_bytes(bytes([entropy[0] & 0x3F | 0x40]) + entropy[1:])


def _merge(path: Path, new: bytes) -> bytes:
    """Give a PEM file with this issuer's block replaced and all others kept."""
    try:
        old = path.read_bytes()
    except FileNotFoundError:
        return new
    issuer = _issuer(new, path)
    kept = [block for block in blocks(old) if _issuer(block, path) != issuer]
    return b"".join([*kept, new])


def _issuer(block: bytes, path: Path) -> bytes:
    from cryptography import x509

    try:
        if b"X509 CRL" in block:
            return x509.load_pem_x509_crl(block).issuer.public_bytes()
        return x509.load_pem_x509_certificate(block).subject.public_bytes()
    except ValueError as error:
        raise TlsFilesInvalid(f"{path}: {error}") from error
