"""Addresses and sockets of links: how one is written, how a connection is tuned.

May not: open a connection (`links.py` does). Source: docs/operating/links.md.
"""

import asyncio
import contextlib
import ipaddress
import socket
from typing import Final

from drystone.errors import ConfigInvalid

UNSENT_BYTES: Final = 16_384
"""Bytes in the operating system that are not under way yet: more would go before a live message."""

PORT_MAX: Final = 65_535


def address_of(text: str) -> tuple[str, int]:
    """Read `host:port` or `[v6]:port`. Does not check that it exists. Raises: ConfigInvalid."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    if (
        not colon
        or not bare
        or (":" in host) != bracketed
        or not port.isascii()
        or not port.isdigit()
    ):
        raise ConfigInvalid(f"{text!r:.80} is no host:port")
    if int(port) > PORT_MAX:
        raise ConfigInvalid(f"{text!r:.80}: ports end at {PORT_MAX}")
    return bare, int(port)


def tune(writer: asyncio.StreamWriter) -> None:
    """Keep little in buffers, so that what is live does not queue behind what is not; notice dead peers."""
    writer.transport.set_write_buffer_limits(high=UNSENT_BYTES)
    connection = writer.get_extra_info("socket")
    if connection is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        lowat: int = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
        connection.setsockopt(socket.IPPROTO_TCP, lowat, UNSENT_BYTES)


def host_of(writer: asyncio.StreamWriter) -> str:
    """Give the other side's host."""
    name = writer.get_extra_info("peername")
    return str(name[0]) if name else "?"


def peer_of(writer: asyncio.StreamWriter) -> str:
    """Give the other side's host and port."""
    name = writer.get_extra_info("peername")
    return spell(name) if name else "?"


def spell(name: tuple[str, int]) -> str:
    """Write a socket's address as `address_of` reads it."""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_here(host: str) -> bool:
    """Say whether an address only ever leads to the machine that reads it, or to nothing that can be dialled."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return found.is_loopback or found.is_unspecified or found.is_link_local or found.is_multicast
