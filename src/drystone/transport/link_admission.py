"""Admission: who is at the other end of a connection, and may this member link here now.

Lives here: the two questions asked of every connection in both directions, before a session exists: does a certificate
of an authority trusted here name the member (OpenSSL, in the handshake), not ended, not revoked; and is its key the
one that the member has on the ledger, as far as is known here. May not: keep a link or know what is said over it.

Source: docs/operating/links.md; RFC 5280, RFC 8446.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import NamedTuple

from drystone import limits
from drystone.errors import (
    CertificateForeign,
    CertificateInvalid,
    CertificateRevoked,
    CertificateUnregistered,
    PeerFault,
)
from drystone.gateway.sync.messages import Bye
from drystone.gateway.sync.wire import encode_message, frame
from drystone.home.authority import TlsFiles
from drystone.home.certificates import BACKDATED_S, Certificate, read_certificate
from drystone.records.dag import Author
from drystone.records.key import PublicKey, SecretKey
from drystone.transport.link import Traffic
from drystone.transport.link_addresses import tune
from drystone.transport.link_tls import Cut, TlsStream, read_contexts, stamp_of


class Admitted(NamedTuple):
    """A connection whose other end is known."""

    certificate: Certificate
    stream: TlsStream
    traffic: Traffic


class Admission:
    """The certificates of this node and of whom it trusts, and the registry's word on keys."""

    def __init__(
        self,
        *,
        own: Author,
        secret: SecretKey,
        files: TlsFiles,
        keys_of: Callable[[Author], Collection[PublicKey]],
        unix_s: Callable[[], float],
    ) -> None:
        """Read the files; `unix_s` is the wall's clock. Raises: TlsFilesInvalid."""
        self._unix_s = unix_s
        self._own, self._secret, self._files, self._keys_of = own, secret, files, keys_of
        self._stamp = stamp_of(files)
        self._contexts = read_contexts(files, secret)

    @property
    def changed(self) -> bool:
        """Whether the files are others than those read last."""
        return stamp_of(self._files) != self._stamp

    def reload(self) -> None:
        """Read the files anew; when they cannot be used, all stays as it was. Raises: TlsFilesInvalid."""
        self._stamp = stamp_of(self._files)
        self._contexts = read_contexts(self._files, self._secret)

    async def admit(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        expected: Author | None,
        refused: Traffic,
    ) -> Admitted:
        """Run the handshake and check who is there; on a refusal the connection is closed.

        `expected` is whom we dialled; None for a connection that was accepted. What a refused connection took is
        added to `refused`.

        Raises: PeerFault.
        """
        traffic = Traffic()
        tune(writer)
        dialling = expected is not None
        context = self._contexts.client if dialling else self._contexts.server
        stream = TlsStream(reader, writer, context, server=not dialling, count=traffic.count)
        try:
            der = await stream.handshake(seconds=limits.LINK_HANDSHAKE_MS_MAX / 1000)
            certificate = read_certificate(der)
            self.check(certificate, expected)
        except PeerFault as fault:
            # Whom an authority vouches for is told why; anybody else has the alert of TLS.
            with contextlib.suppress(Cut, PeerFault, ValueError):
                stream.send(frame(encode_message(Bye(fault.code, ""))))
            stream.close()
            refused.add(traffic)
            raise
        except BaseException:
            stream.abort()
            raise
        return Admitted(certificate, stream, traffic)

    def check(self, certificate: Certificate, expected: Author | None) -> None:
        """Check that the member named may link here now. Does not check who signed: the handshake does.

        A clock cannot be trusted (a small machine starts in 1970), so it only counts forwards from the day on which
        the own certificate was made, and nothing is refused because it begins later. Raises: PeerFault.
        """
        name = Author(certificate.iss, certificate.sub)
        text = f"{name.iss}/{name.sub}"
        if (certificate.issuer, certificate.serial) in self._contexts.revoked:
            raise CertificateRevoked(f"the certificate {certificate.serial:x} of {text} is revoked")
        now_s = max(self._unix_s(), self._contexts.own.starts_s + BACKDATED_S)
        if certificate.ends_s <= now_s:
            raise CertificateInvalid(
                f"the certificate of {text} has ended, or the clock here is off"
            )
        if self._contexts.lists_end_s.get(certificate.issuer, 0) <= now_s:
            raise CertificateInvalid(f"the list of what {text}'s authority revoked has ended")
        if name == self._own or (expected is not None and name != expected):
            wanted = "a peer" if expected is None else f"{expected.iss}/{expected.sub}"
            raise CertificateForeign(f"{text} is there, {wanted} is expected")
        if certificate.key not in self._keys_of(name):
            kid = certificate.key.kid().hex()
            raise CertificateUnregistered(f"the key {kid} is not one that {text} links with")
