"""Certificates for links: how they are made, what one says, what is revoked. Bytes in, bytes out.

Lives here: the one profile of certificates that links take, as functions over bytes, keys and times. May not: keep or
read a file (`home/authority.py` does), open a socket, or read a clock. Source: RFC 5280 (profile), RFC 8410 (Ed25519).
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from drystone.errors import CertificateForeign, TlsFilesInvalid
from drystone.formats.cose import ALG_EDDSA
from drystone.records.key import PublicKey, SecretKey

if TYPE_CHECKING:
    # Imported where it is used: a command that makes no certificate starts without it.
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

URI: Final = "drystone:"
"""Scheme of the one name in a certificate: `drystone:ORGANISATION/MEMBER`."""

DAY_S: Final = 86_400
DAYS: Final = 730
"""Days for which certificates and revocation lists are valid unless told otherwise."""
BACKDATED_S: Final = DAY_S
"""A certificate is valid from a day before it was made: clocks in the field run late."""

_NAME: Final = re.compile(r"drystone:([^/]+)/([^/]+)", re.ASCII)
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----\n?", re.DOTALL)


class Certificate(NamedTuple):
    """What a certificate says, taken out of it."""

    iss: str
    sub: str
    key: PublicKey
    serial: int
    issuer: bytes
    """The issuer's name as it is encoded: with the serial number it is the certificate's only address."""
    starts_s: int
    ends_s: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One certificate as the authority remembers it; `serial` is hex, times are Unix seconds."""

    serial: str
    iss: str
    sub: str
    kid: str
    starts_s: int
    ends_s: int
    revoked_s: int | None = None

    def state(self, *, now_s: int) -> str:
        """Say `valid`, `expired` or `revoked`."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if now_s >= self.ends_s else "valid"


def read_certificate(der: bytes) -> Certificate:
    """Take out of a certificate whom it names and which key it holds. Does not check who signed it or when it ends.

    Raises: CertificateForeign when it names no member, or several, or its key is not Ed25519.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        one = x509.load_der_x509_certificate(der)
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        key = one.public_key()
        issuer, starts = one.issuer.public_bytes(), one.not_valid_before_utc
        ends = one.not_valid_after_utc
    except (ValueError, x509.ExtensionNotFound, x509.UnsupportedGeneralNameType) as error:
        raise CertificateForeign(f"the certificate cannot be read: {error}") from error
    named = _NAME.fullmatch(uris[0]) if len(uris) == 1 else None
    if named is None or not isinstance(key, Ed25519PublicKey):
        raise CertificateForeign(
            f"the certificate names no member by an Ed25519 key: {uris!r:.200}"
        )
    return Certificate(
        named[1],
        named[2],
        PublicKey(ALG_EDDSA, key.public_bytes_raw()),
        one.serial_number,
        issuer,
        int(starts.timestamp()),
        int(ends.timestamp()),
    )


def read_own(pem: bytes) -> Certificate:
    """Take out of a node's own certificate what it says. Raises: TlsFilesInvalid."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        return read_certificate(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    except (ValueError, CertificateForeign) as error:
        raise TlsFilesInvalid(f"node.pem: {error}") from error


def read_authorities(pem: bytes) -> list[tuple[str, int]]:
    """Give name and end (Unix seconds) of every authority in a PEM file. Raises: TlsFilesInvalid."""
    from cryptography import x509

    try:
        found = [x509.load_pem_x509_certificate(block) for block in blocks(pem)]
    except ValueError as error:
        raise TlsFilesInvalid(f"ca.pem: {error}") from error
    return [
        (one.subject.rfc4514_string(), int(one.not_valid_after_utc.timestamp())) for one in found
    ]


class RevocationList(NamedTuple):
    """What one list says: whose it is, what it revokes, until when it counts (Unix seconds)."""

    issuer: bytes
    serials: frozenset[int]
    ends_s: int


def read_lists(crl_pem: bytes) -> list[RevocationList]:
    """Give the lists of a PEM file. Does not check their signatures: the handshake does.

    Raises: TlsFilesInvalid.
    """
    from cryptography import x509

    found: list[RevocationList] = []
    for block in blocks(crl_pem):
        try:
            one = x509.load_pem_x509_crl(block)
        except ValueError as error:
            raise TlsFilesInvalid(f"crl.pem: {error}") from error
        ends = one.next_update_utc
        serials = frozenset(entry.serial_number for entry in one)
        ends_s = int(ends.timestamp()) if ends is not None else 0
        found.append(RevocationList(one.issuer.public_bytes(), serials, ends_s))
    return found


def read_revoked(crl_pem: bytes) -> frozenset[tuple[bytes, int]]:
    """Give (issuer, serial) of everything that the lists in a PEM file revoke. Raises: TlsFilesInvalid."""
    return frozenset((one.issuer, serial) for one in read_lists(crl_pem) for serial in one.serials)


def private_pem(secret: SecretKey, passphrase: bytes) -> bytes:
    """Give a node's key as OpenSSL reads it, encrypted with a passphrase that only this process knows."""
    from cryptography.hazmat.primitives import serialization

    return private(secret).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )


def blocks(pem: bytes) -> list[bytes]:
    """Give the blocks of a PEM file, each with its own first and last line."""
    return [match[0] for match in _PEM.finditer(pem)]


def private(secret: SecretKey) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(secret.to_bytes())


def _time(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _name(organisation: str, common: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, authority: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def self_signed(
    organisation: str, key: "Ed25519PrivateKey", *, serial: int, now_s: int, ends_s: int
) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    # The serial in the name: two authorities of one organisation never share a name.
    name = _name(organisation, f"drystone links {serial:032x}"[:31])
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(_time(now_s - BACKDATED_S))
        .not_valid_after(_time(ends_s))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, None)
        .public_bytes(Encoding.PEM)
    )


def member_certificate(
    made: Issued, key: PublicKey, *, issuer_pem: bytes, signer: SecretKey
) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer = x509.load_pem_x509_certificate(issuer_pem)
    public = Ed25519PublicKey.from_public_bytes(key.raw)
    name = x509.UniformResourceIdentifier(f"{URI}{made.iss}/{made.sub}")
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(_name(made.iss, made.sub))
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(int(made.serial, 16))
        .not_valid_before(_time(made.starts_s))
        .not_valid_after(_time(made.ends_s))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(private(signer), None)
        .public_bytes(Encoding.PEM)
    )


def revocation_list(
    issued: Sequence[Issued], *, issuer_pem: bytes, signer: SecretKey, now_s: int
) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    issuer = x509.load_pem_x509_certificate(issuer_pem)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(_time(now_s - BACKDATED_S))
        # As long as certificates live: a village that hears of no new list must not fall apart.
        .next_update(_time(now_s + DAYS * DAY_S))
        .add_extension(x509.CRLNumber(now_s), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )
    for one in issued:
        if one.revoked_s is not None and now_s < one.ends_s + DAY_S:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(one.serial, 16))
                .revocation_date(_time(one.revoked_s))
                .build()
            )
    return builder.sign(private(signer), None).public_bytes(Encoding.PEM)
