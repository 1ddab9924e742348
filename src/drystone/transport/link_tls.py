"""TLS for links: mutual, 1.3 only, and every byte on the wire counted.

Lives here: contexts made from a node's key and the three files of its `tls/` folder, and one TLS connection over
asyncio's plain streams. The TLS engine runs on memory buffers, so that nothing is read before a connection is
admitted, what goes over the wire is counted exactly, and a failed handshake has a typed reason. May not: know what is
said over it, decide who may link (`links.py`), or accept anything but TLS 1.3 with a certificate on both sides: there
is no plain mode. No tickets are given, so that every connection shows its certificate again.

Source: RFC 8446; docs/spec/sync.md.
"""

import asyncio
import contextlib
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import (
    CertificateInvalid,
    CertificateRevoked,
    LinkMalformed,
    LinkRefused,
    LinkSilent,
    PeerFault,
    TlsFilesInvalid,
)
from drystone.home.authority import TlsFiles
from drystone.home.certificates import Certificate, private_pem, read_lists, read_own
from drystone.records.key import SecretKey

PROTOCOL: Final = "drystone-sync/1"
"""Named in the handshake (ALPN): a server that speaks something else under the same authority is not spoken to."""

READ_BYTES: Final = 65_536
PASSPHRASE_BYTES: Final = 32

REVOKED: Final = 23
"""OpenSSL's X509_V_ERR_CERT_REVOKED."""

NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME."""

CERTIFICATE_ALERTS: Final = ("ALERT", "CERTIFICATE_REQUIRED")
NO_CERTIFICATE: Final = "PEER_DID_NOT_RETURN_A_CERTIFICATE"


class Cut(Exception):  # noqa: N818 - no error: links are cut all the time
    """The connection is gone, or about to be."""


class Contexts(NamedTuple):
    """What both directions of links are opened with, and what was revoked when it was read."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    own: Certificate
    revoked: frozenset[tuple[bytes, int]]
    lists_end_s: Mapping[bytes, int]
    """When each authority's list ends, by the issuer's name."""


def read_contexts(files: TlsFiles, secret: SecretKey) -> Contexts:
    """Make the contexts from a node's files and its key.

    Checks that the certificate is for this key and that all three files are there; not when they end. The key leaves
    the process only encrypted with a passphrase that nobody else has, in a file that is gone when this returns: OpenSSL
    reads files.
    Raises: TlsFilesInvalid.
    """
    _, node, crl = files.read()
    own = read_own(node)
    lists = read_lists(crl)
    passphrase = os.urandom(PASSPHRASE_BYTES).hex().encode()
    descriptor, name = tempfile.mkstemp(prefix=".drystone-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(private_pem(secret, passphrase))
        made = [
            _context(kind, files, key=name, passphrase=passphrase)
            for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
        ]
    except (ssl.SSLError, OSError) as error:
        raise TlsFilesInvalid(f"{files.folder}: {error}") from error
    finally:
        Path(name).unlink(missing_ok=True)
    revoked = frozenset((one.issuer, serial) for one in lists for serial in one.serials)
    ends = {one.issuer: one.ends_s for one in lists}
    return Contexts(made[0], made[1], own, revoked, ends)


def _context(kind: int, files: TlsFiles, *, key: str, passphrase: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    # Who it is says the member's name in the certificate, checked in `links.py`; addresses change and mean nothing.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # When certificates end is checked in `link_admission.py`, against a clock that may be wrong.
    flags = ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_X509_STRICT | NO_CHECK_TIME
    context.verify_flags |= ssl.VerifyFlags(flags)
    context.load_verify_locations(cafile=str(files.ca))
    context.load_verify_locations(cafile=str(files.crl))
    context.load_cert_chain(str(files.node), key, password=passphrase)
    context.set_alpn_protocols([PROTOCOL])
    if kind == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    return context


def stamp_of(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Give what changes when one of the files does."""
    found: list[tuple[int, int, int] | None] = []
    for path in (files.ca, files.node, files.crl):
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


class TlsStream:
    """One TLS connection. One task may read while another writes; neither may do so twice at once."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        *,
        server: bool,
        count: Callable[[int, int], None],
    ) -> None:
        """Take over a plain connection; `count(received, sent)` is told of every byte on the wire."""
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self._count = count

    async def handshake(self, *, seconds: float) -> bytes:
        """Run the handshake; give the other side's certificate, DER, whose chain and revocation OpenSSL has checked.

        Does not check when certificate or list end.

        Raises: CertificateInvalid, CertificateRevoked, LinkMalformed, LinkRefused, LinkSilent.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._handshake()
        except Cut as error:
            raise LinkRefused(f"the connection ended during the handshake: {error}") from error
        except TimeoutError:
            raise LinkSilent(f"no handshake within {seconds:.0f} s") from None
        der = self._tls.getpeercert(binary_form=True)
        if der is None:  # pragma: no cover - CERT_REQUIRED leaves none
            raise CertificateInvalid("no certificate")
        if self._tls.selected_alpn_protocol() != PROTOCOL:
            raise LinkMalformed("the other side speaks another protocol")
        return der

    async def _handshake(self) -> None:
        received = 0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLError as error:
                await self._flush()
                raise fault_of(error) from error
            else:
                await self._flush()
                return
            if received > limits.LINK_HANDSHAKE_BYTES_MAX:
                raise LinkMalformed(f"a handshake of more than {received} bytes")
            data = await self._fill()
            if not data:
                raise LinkRefused("the connection ended during the handshake")
            received += data

    async def read(self) -> bytes:
        """Give some plain bytes; none when the other side has ended the connection.

        Raises: Cut, LinkMalformed, LinkRefused (an alert), and what a certificate refused after the handshake gives.
        """
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                # A key update of the other side may want an answer.
                await self._flush()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise fault_of(error) from error
            if not await self._fill():
                return b""

    def send(self, data: bytes | memoryview) -> int:
        """Hand plain bytes to the operating system or asyncio's buffer; give the bytes on the wire.

        Does not wait: call `drain` before the next one. Raises: Cut; LinkMalformed when it is of no more use.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.write(view) :]
        except ssl.SSLError as error:
            raise fault_of(error) from error
        return self._forward()

    async def drain(self) -> None:
        """Wait until nearly all of what was sent is with the operating system. Raises: Cut."""
        try:
            await self._writer.drain()
        except (OSError, RuntimeError) as error:  # uvloop's closed transport is the latter
            raise Cut(str(error)) from error

    def close(self) -> None:
        """Say goodbye and close; what does not go out at once stays unsaid."""
        with contextlib.suppress(ssl.SSLError, ValueError, OSError, RuntimeError):
            self._tls.unwrap()  # Raises that it wants the other side's goodbye; ours is in the buffer.
        with contextlib.suppress(Cut, OSError, RuntimeError):
            self._forward()
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()

    def abort(self) -> None:
        """Close at once, without a word."""
        self._writer.transport.abort()

    async def _flush(self) -> None:
        self._forward()
        await self.drain()

    def _forward(self) -> int:
        data = self._outgoing.read()
        if data:
            if self._writer.transport.is_closing():
                raise Cut("the connection is closed")
            self._writer.write(data)
            self._count(0, len(data))
        return len(data)

    async def _fill(self) -> int:
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise Cut(str(error)) from error
        if data:
            self._count(len(data), 0)
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return len(data)


def fault_of(error: ssl.SSLError) -> PeerFault:
    """Give the fault that an error of the TLS engine stands for."""
    if isinstance(error, ssl.SSLCertVerificationError):
        kind = CertificateRevoked if error.verify_code == REVOKED else CertificateInvalid
        return kind(f"the certificate is not accepted: {error.verify_message}")
    reason = error.reason or type(error).__name__
    if reason == NO_CERTIFICATE:
        return CertificateInvalid("the other side shows no certificate")
    if any(word in reason for word in CERTIFICATE_ALERTS):
        return LinkRefused(f"the other side refuses: {reason.lower().replace('_', ' ')}")
    return LinkMalformed(f"no TLS 1.3 between two members: {reason.lower().replace('_', ' ')}")
