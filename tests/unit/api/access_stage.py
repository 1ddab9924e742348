"""A street behind a read policy: members that sign their requests, tokens, a clock, an audit log.

Organisation `ewz` has meters, a household (`house-7`, role consumer), an auditor (`anna`) and a
contract that keeps which meters are whose; organisation `wwz` has an operator and nothing else.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
from api_desk import Desk
from api_world import make_world, secret_of, settings_for
from memory_service import NOW_MS, OPERATOR

from drystone.api.border import Policy
from drystone.formats.message_signature import (
    KeyId,
    Message,
    content_digest,
    write_input,
    write_signature,
)
from drystone.home.audit import AuditLog, Entry
from drystone.home.tokens import TokenBook, TokenFile
from drystone.records.key import SecretKey
from drystone.records.record import enrolment_proof

NOW_S = NOW_MS // 1000 + 86_400

SOURCE = '''"""Keeps which meters are whose, and what each owes."""


def move_in(ctx, household, meters):
    """Say which meters a household has."""
    put("household/" + household, {"meters": meters})
    put("bill/" + household + "/1", {"coins": 4250})
    put("areas", {"ewz": "east"})
    emit("moved", {"household": household})
'''
MANIFEST: dict[str, object] = {
    "name": "homes",
    "version": 1,
    "calls": {"move_in": {"roles": ["governor"], "args": {"household": "text", "meters": "list"}}},
}
CONSUMER_RULES: list[object] = [
    {"who": "role:consumer", "what": "streams", "of": "{own}"},
    {"who": "role:consumer", "what": "receipts", "of": "{own}"},
    {"who": "role:consumer", "what": "states", "of": "homes/bill/{me}"},
    {"who": "role:auditor", "what": "streams", "of": "*"},
    {"who": "role:auditor", "what": "receipts", "of": "*"},
    {"who": "role:auditor", "what": "members", "of": "*"},
    {"who": "role:auditor", "what": "states", "of": "homes"},
    {"who": "role:auditor", "what": "ledger", "of": "*"},
]


@dataclass(frozen=True)
class Member:
    """Who signs a request, with which key."""

    iss: str
    sub: str
    secret: SecretKey

    @property
    def key(self) -> KeyId:
        return KeyId(self.iss, self.sub, self.secret.public.kid())


def member(sub: str) -> Member:
    return Member("ewz", sub, OPERATOR if sub == "operator" else secret_of(sub))


WWZ = Member("wwz", "boss", secret_of("wwz-boss"))


class Clock:
    def __init__(self) -> None:
        self.s = NOW_S

    def __call__(self) -> int:
        return self.s


@dataclass
class Gated:
    """A desk behind a policy."""

    desk: Desk
    clock: Clock
    tokens: TokenFile
    audit: AuditLog
    nonce: int = 0

    def message(self, method: str, path: str, fields: Mapping[str, str] | None = None) -> Message:
        plain, _, query = path.partition("?")
        return Message(method, "localhost", plain, query, dict(fields or {}))

    def signed(
        self,
        who: Member,
        path: str,
        *,
        method: str = "GET",
        content: bytes = b"",
        created: int | None = None,
        nonce: str | None = None,
        alg: int | None = None,
    ) -> dict[str, str]:
        """The fields of a signed request."""
        self.nonce += 1
        fields: dict[str, str] = {}
        if content:
            fields = {
                "content-type": "application/cbor",
                "content-digest": content_digest(content),
            }
        text, base = write_input(
            self.message(method, path, fields),
            key=who.key,
            alg=who.secret.public.alg if alg is None else alg,
            created=self.clock.s if created is None else created,
            nonce=f"nonce-{self.nonce:016d}" if nonce is None else nonce,
        )
        signature = write_signature(who.secret.sign(base))
        return {**fields, "signature-input": text, "signature": signature}

    def ask(
        self,
        who: Member | str | None,
        path: str,
        *,
        method: str = "GET",
        content: bytes = b"",
        **more: Any,
    ) -> httpx.Response:
        """A request by a member (signed), with a token (text), or by nobody."""
        headers: dict[str, str] = {"accept": more.pop("accept", "*/*")}
        if isinstance(who, Member):
            headers |= self.signed(who, path, method=method, content=content, **more)
        elif who is not None:
            headers["authorization"] = f"Bearer {who}"
        if content:
            headers.setdefault("content-type", "application/cbor")
        return self.desk.ask(method, path, content=content or None, headers=headers)

    def token(self, *scopes: str, days: int = 7) -> str:
        """A new token with these scopes."""
        self.nonce += 1
        entropy = self.nonce.to_bytes(28, "big")[::-1]
        _, text = self.tokens.create(
            list(scopes), days=days, note="", now_s=self.clock.s, entropy=entropy
        )
        return text

    def denials(self) -> list[Entry]:
        return self.audit.entries(before=None, limit=1_000)


def open_gate(folder: Path, policy: Policy, **settings: Any) -> Iterator[Gated]:
    """A gated street, its loop closed behind."""
    loop = asyncio.new_event_loop()
    clock = Clock()
    tokens = TokenFile(folder / "tokens.json")
    audit = AuditLog(folder / "audit.jsonl", now_ms=lambda: clock.s * 1000)
    made = settings_for(
        policy=policy, now_s=clock, tokens=TokenBook(tokens), audit=audit, **settings
    )
    try:
        world = loop.run_until_complete(make_world(settings=made))
        gated = Gated(Desk(world, loop), clock, tokens, audit)
        loop.run_until_complete(furnish(gated))
        yield gated
    finally:
        loop.close()


async def furnish(gated: Gated) -> None:
    """Readings, people with roles, a contract, rules, a second organisation."""
    world = gated.desk.world
    roles = {"house-7": "consumer", "house-8": "consumer", "anna": "auditor", "old": "consumer"}
    members = [
        {"sub": sub, "roles": [role], "proof": proof(world.service.view.ledger, "ewz", sub)}
        for sub, role in roles.items()
    ]
    await world.call("enrol", {"members": members})
    await world.service.submit(world.reading("m-1") + world.reading("m-2"), wait="committed")
    await world.deploy(MANIFEST, SOURCE)
    await world.service.submit(world.reading("m-1") + world.reading("m-2"), wait="committed")
    own = {"household": "ewz/house-7", "meters": ["ewz/m-1", "ewz/gw-1/thermo-1"]}
    await world.call("move_in", cast("dict[str, object]", own), contract="homes")
    other = {"household": "ewz/house-8", "meters": ["ewz/m-2"]}
    await world.call("move_in", cast("dict[str, object]", other), contract="homes")
    await world.call("policy", {"rules": CONSUMER_RULES, "own": "homes/household"})
    admitted = {
        "kind": "admit",
        "organisation": "wwz",
        "name": "Wasserwerke Zug",
        "sub": "boss",
        "proof": proof(world.service.view.ledger, "wwz", "boss", secret_of("wwz-boss")),
    }
    await world.call("propose", cast("dict[str, object]", admitted), contract="governance")


def proof(ledger: bytes, iss: str, sub: str, secret: SecretKey | None = None) -> str:
    return enrolment_proof(secret=secret or secret_of(sub), iss=iss, sub=sub, ledger=ledger).hex()
