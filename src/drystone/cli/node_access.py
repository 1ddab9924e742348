"""How a command reaches a node and names a stream; how the operator signs a call.

Imported by commands when they run, never at start. Calls (enrol, rotate, revoke, profiles, proposals) are ordinary
signed records of the operator, sent to the node and awaited until the ledger has decided: a refusal there is this
command's refusal.
"""

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx

from drystone.client.messages import error_of
from drystone.client.rest import (
    Client,
    Endpoint,
    StreamName,
    find_endpoint,
    read_token,
)
from drystone.client.signing import BearerToken, RequestSigner
from drystone.errors import KeyFileInvalid, NotFound, RequestMalformed, Unavailable
from drystone.formats import cose
from drystone.gateway.answer import Answer, Wait
from drystone.home.keyfolder import KeyFile, KeyFolder, Position, read_key_file
from drystone.records.record import write_call, write_record

STEPS_MAX: Final = 1_000_000
"""The step limit that calls of the built-in functions carry; they use none of it."""

DEVICES: Final = "devices"

NONCE_BYTES: Final = 18


def connect(home: Path, url: str | None) -> Client:
    """Open a client to the node at `url`, or to the one that runs in the home.

    Where the node asks who reads: the token in DRYSTONE_TOKEN is shown, or requests are signed with the key file in
    DRYSTONE_KEY, or with the home's operator key. Raises: NodeAbsent, KeyFileInvalid (DRYSTONE_KEY).
    """
    if url is None:
        endpoint = find_endpoint(home)
    else:
        endpoint = Endpoint(url=url.rstrip("/"), token=read_token(home))
    return Client(replace(endpoint, auth=find_auth(home, os.environ)))


def find_auth(home: Path, environment: Mapping[str, str]) -> httpx.Auth | None:
    """Give how this user says who asks; None where there is nothing to say it with. Raises: KeyFileInvalid."""
    if token := environment.get("DRYSTONE_TOKEN"):
        return BearerToken(token)
    if named := environment.get("DRYSTONE_KEY"):
        key = read_key_file(Path(named))
    else:
        try:
            key = read_key_file(home / "keys" / "operator.key")
        except KeyFileInvalid:
            return None
    return RequestSigner(
        key, now_s=lambda: int(time.time()), nonce=lambda: secrets.token_urlsafe(NONCE_BYTES)
    )


def read_stream(text: str, home: Path, *, sign_as: Path | None = None) -> StreamName:
    """Read DEVICE, ORGANISATION/DEVICE or ORGANISATION/GATEWAY/DEVICE.

    Does not check that it exists. Raises: RequestMalformed.
    """
    parts = text.split("/")
    if not all(parts) or len(parts) > 3:
        raise RequestMalformed(f"{text!r} names no device: ORGANISATION/DEVICE is expected")
    if len(parts) == 1:
        parts = [own_organisation(home, sign_as), *parts]
    return StreamName(parts[0], parts[1], parts[2] if len(parts) == 3 else None)


def own_organisation(home: Path, sign_as: Path | None = None) -> str:
    """Give the organisation of whoever signs here. Raises: RequestMalformed when there is nobody."""
    try:
        return read_key_file(sign_as or home / "keys" / "operator.key").organisation
    except KeyFileInvalid as error:
        raise RequestMalformed(
            f"name the organisation (ORGANISATION/DEVICE): this home has no operator ({error})"
        ) from error


def key_folder(home: Path, keys: Path | None) -> KeyFolder:
    """Give the folder of device keys: the one named, or the home's."""
    return KeyFolder(keys or home / DEVICES)


def ledger_id(node: Client) -> bytes:
    """Ask the node for its ledger's id, 32 bytes. Raises: NodeAbsent."""
    return bytes.fromhex(node.get("/v1/ledger")["ledger"])


def next_sequence(node: Client, stream: StreamName, *, epoch: int) -> int:
    """Ask the node for the number after the last one of a stream's epoch; 0 where there is none."""
    try:
        state = node.get(f"/v1/streams/{stream.path}", stream.query)
    except NotFound:
        return 0
    ends = [run["last"] + 1 for run in state["there"] if run["epoch"] == epoch]
    return max(ends, default=0)


def deliver_or_release(
    node: Client,
    folder: KeyFolder,
    stream: StreamName,
    record: bytes,
    *,
    position: Position,
    wait: Wait | None,
) -> Answer:
    """Send one record; if it is refused, at intake or on the ledger, its position is free again.

    Not so while the refusal is provisional: it lies in a vertex, and a second record of its position would be a fork.
    """
    (answer,) = node.deliver([record], wait=wait)
    taken = {"stored", "already"}
    refused = answer.outcome not in {None, "accepted", "already"} and answer.finality == "final"
    if answer.code not in taken or refused:
        folder.release(
            organisation=stream.organisation, member=stream.member, position=position, count=1
        )
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A member that signs calls: its key, the file it lies in, where its positions are kept."""

    node: Client
    key: KeyFile
    path: Path
    folder: KeyFolder

    @property
    def stream(self) -> StreamName:
        """The stream of the member's own records."""
        return StreamName(self.key.organisation, self.key.member, None)

    def call(self, contract: str, function: str, arguments: dict[str, Any]) -> Answer:
        """Sign a call, send it, and wait for what the ledger decides.

        Raises: the refusal, whether at intake or on the ledger; Unavailable when it is not decided in time.
        """
        ledger = ledger_id(self.node)
        organisation, member, _ = self.stream
        epoch = self.folder.epoch(organisation=organisation, member=member)
        seen = next_sequence(self.node, self.stream, epoch=epoch)
        position = self.folder.reserve(organisation=organisation, member=member, count=1, seen=seen)
        record = write_record(
            secret=self.key.secret,
            iss=organisation,
            sub=member,
            epoch=position.epoch,
            seq=position.seq,
            payload=write_call(
                ledger=ledger,
                contract=contract,
                function=function,
                args=arguments,
                limit=STEPS_MAX,
            ),
            content_type=cose.CBOR,
        )
        answer = deliver_or_release(
            self.node, self.folder, self.stream, record, position=position, wait="committed"
        )
        if answer.code not in {"stored", "already"}:
            raise error_of(answer.code, answer.detail)
        if answer.outcome is None:
            raise Unavailable("the call is stored but not decided yet; look at it again later")
        if answer.outcome != "accepted":
            detail = answer.detail or f"the ledger refused {contract}.{function}"
            raise error_of(answer.outcome, detail)
        return answer


def caller(node: Client, home: Path, sign_as: Path | None) -> Caller:
    """Give who signs calls: the key file named, or the home's operator. Raises: KeyFileInvalid.

    A key of a key folder keeps its positions there; any other's are kept with the home's devices.
    """
    path = sign_as or home / "keys" / "operator.key"
    key = read_key_file(path)
    folder = KeyFolder(home / DEVICES)
    if (path.parent.name, path.name) == (key.organisation, f"{key.member}.key"):
        folder = KeyFolder(path.parent.parent)
    return Caller(node=node, key=key, path=path, folder=folder)
