"""Who asks, and which service they get: the whole node's, or one that shows what they may see.

Under the policy `open` everybody reads everything. Otherwise somebody is a member that signs its
requests, the holder of a token, or the operator; each gets a `GuardedService`. What is denied is
counted and written to the audit log, by whom and why. Views never decide: they take `Node`, which is
guarded, or `PublicNode`, for what everybody may know. Source: issue 4 item 2, requirement S2.6.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, cast

from fastapi import Depends, Query, Request

from drystone.api.border import ApiSettings
from drystone.api.guarded import GuardedService
from drystone.api.guarded_events import VertexStreams
from drystone.api.service import Service
from drystone.api.signed_requests import SignatureChecker, message_of
from drystone.errors import (
    MemberSuspended,
    ReadDenied,
    Refused,
    RequestUnsigned,
    TokenInvalid,
)
from drystone.formats.message_signature import has_signature
from drystone.gateway.answer import FINAL, PROVISIONAL, Finality
from drystone.home.audit import Denial
from drystone.home.tokens import ALL, AS, ATTEST, Token
from drystone.ledger.read_rights import NOTHING, ReadRights, scoped_rights

NOBODY: Final = "nobody"
OPERATOR: Final = "operator"

Rights = ReadRights | None
"""None: everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whoever asks: a member, a token's holder, the operator or nobody known."""

    kind: Literal["nobody", "member", "token", "operator"]
    name: str
    kid: bytes = b""
    """Of the key that signed."""
    token: Token | None = None


ANONYMOUS: Final = Visitor(kind="nobody", name=NOBODY)


class Access:
    """The read policy of a node at work."""

    def __init__(
        self,
        service: Service,
        settings: ApiSettings,
        *,
        on_denial: Callable[[str], None],
    ) -> None:
        self.service = service
        self.settings = settings
        self._on_denial = on_denial
        self._signatures = SignatureChecker(service, now_s=settings.now_s)
        self._vertex_streams = VertexStreams(service)

    async def guarded(self, request: Request) -> Service:
        """The service for whoever asks.

        Raises: what identifies nobody (401), RequestUnsigned, and what ended the member's rights.
        """
        if self.settings.policy == "open":
            return self.service
        visitor = await self.identify(request)

        async def renew() -> Rights:
            return await self._rights(visitor)

        def deny(why: str) -> Refused:
            error: Refused = ReadDenied(why)
            if visitor.kind == NOBODY:
                error = RequestUnsigned("sign the request or send a token")
            self.record(request, visitor.name, error, why)
            return error

        try:
            rights = await renew()
        except Refused as error:
            self.record(request, visitor.name, error, str(error))
            raise
        return GuardedService(
            self.service, rights, deny=deny, renew=renew, vertex_streams=self._vertex_streams
        )

    async def identify(self, request: Request) -> Visitor:
        """Who sends a request. Credentials that do not hold are refused, never passed over.

        Raises: TokenInvalid, and what `SignatureChecker.check` raises.
        """
        try:
            return await self._identify(request)
        except Refused as error:
            cause = error.__cause__
            self.record(request, _claimed(request), error, str(cause or error))
            raise

    async def _identify(self, request: Request) -> Visitor:
        text = bearer_token(request)
        if text is not None:
            if self.settings.token.equals(text):
                return Visitor(kind="operator", name=OPERATOR)
            if self.settings.tokens is None:
                raise TokenInvalid("this node has given out no tokens")
            token = self.settings.tokens.find(text, now_s=self.settings.now_s())
            return Visitor(kind="token", name=f"token {token.id}", token=token)
        if has_signature(message_of(request)):
            known = await self._signatures.check(request)
            asker = known.asker
            return Visitor(kind="member", name=f"{asker.iss}/{asker.sub}", kid=known.key.kid())
        return ANONYMOUS

    async def demand_operator(self, request: Request) -> None:
        """Refuses whoever is not the operator. Raises: TokenInvalid."""
        text = bearer_token(request)
        if text is None or not self.settings.token.equals(text):
            error = TokenInvalid("this needs `Authorization: Bearer` and the operator token")
            self.record(request, _claimed(request), error, str(error))
            raise error

    async def demand_attesting(self, request: Request) -> None:
        """Refuses whoever may not hand in readings of unsigned devices. Raises: TokenInvalid."""
        text = bearer_token(request)
        if text is not None and not self.settings.token.equals(text):
            visitor = await self.identify(request)
            if visitor.token is not None and ATTEST in visitor.token.scopes:
                return
            error = TokenInvalid(f"{visitor.name} has no scope {ATTEST!r}")
            self.record(request, visitor.name, error, str(error))
            raise error
        await self.demand_operator(request)

    def record(self, request: Request, who: str, error: Refused, why: str) -> None:
        """Counts a denial and writes it down."""
        self._on_denial(type(error).code)
        if self.settings.audit is not None:
            message = message_of(request)
            origin = request.client.host if request.client is not None else ""
            what = f"{message.method} {message.path}"
            self.settings.audit.write(
                Denial(who=who, origin=origin, what=what, code=error.code, why=why)
            )

    async def _rights(self, visitor: Visitor) -> Rights:
        """What a visitor may read now; asked again while an event stream is open."""
        if visitor.kind == OPERATOR:
            return None
        if visitor.kind == "member":
            return await self._member_rights(*visitor.name.split("/"), kid=visitor.kid)
        if visitor.token is not None:
            return await self._token_rights(visitor.token)
        if self.settings.policy == "members":
            raise RequestUnsigned("sign the request or send a token")
        return await self.service.read_rights(None)

    async def _member_rights(self, iss: str, sub: str, *, kid: bytes | None) -> Rights:
        known = await self.service.known_key(iss, sub, kid=kid)
        if known is None:
            raise MemberSuspended(f"{iss}/{sub} is no member")
        if known.refusal is not None:
            raise known.refusal
        if self.settings.policy == "members":
            return None
        return await self.service.read_rights(known.asker)

    async def _token_rights(self, token: Token) -> Rights:
        current = self.settings.tokens.get(token.id) if self.settings.tokens is not None else None
        if current is None or current.state(now_s=self.settings.now_s()) != "active":
            raise TokenInvalid(f"token {token.id} has ended")
        rights = NOTHING
        for scope in current.scopes:
            if scope == ALL:
                return None
            if scope.startswith(AS):
                iss, _, sub = scope.removeprefix(AS).partition("/")
                of_member = await self._member_rights(iss, sub, kid=None)
                if of_member is None:
                    return None
                rights = rights.joined(of_member)
            elif scope != ATTEST:
                rights = rights.joined(scoped_rights(scope))
        return rights


def bearer_token(request: Request) -> str | None:
    """The token that a request carries, as `Bearer` or as a browser's `Basic` password; None: none.

    Another scheme's credentials count as a token that does not hold.
    """
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return ""
        return pair.partition(":")[2]
    return ""


def _claimed(request: Request) -> str:
    """Whom a refused request says it comes from: unproven, so marked; never a secret."""
    if request.headers.get("authorization") is not None:
        return "token ?"
    found = request.headers.get("signature-input", "").partition('keyid="')[2].partition('"')[0]
    return f"{found[:120]} ?" if found else NOBODY


def current_access(request: Request) -> Access:
    """The read policy of the node that answers."""
    return cast("Access", request.app.state.access)


async def guarded_service(request: Request) -> Service:
    """The service for whoever asks."""
    return await current_access(request).guarded(request)


async def log_service(request: Request) -> Service:
    """The service for checkpoint and tiles, as the settings say."""
    access = current_access(request)
    return access.service if access.settings.log_open else await access.guarded(request)


async def metrics_service(request: Request) -> Service:
    """The service for the node's numbers, as the settings say."""
    access = current_access(request)
    return access.service if access.settings.metrics_open else await access.guarded(request)


View = Annotated[
    Finality,
    Query(
        description="`final`, or `provisional`: as if what is pending became final as it arrived. "
        "A node that orders by itself has nothing provisional."
    ),
]


async def viewed_service(request: Request, view: View = FINAL) -> Service:
    """The service for whoever asks, in the view asked for."""
    service = await current_access(request).guarded(request)
    return service.provisional() if view == PROVISIONAL else service


def public_service(request: Request) -> Service:
    """The service for what everybody may know: which ledger this is, and whether the node is well."""
    return current_access(request).service


GUARDS: Final = frozenset({guarded_service, viewed_service, log_service, metrics_service})
"""Dependencies that ask the read policy."""

Node = Annotated[Service, Depends(guarded_service)]
LogNode = Annotated[Service, Depends(log_service)]
ViewedNode = Annotated[Service, Depends(viewed_service)]
MetricsNode = Annotated[Service, Depends(metrics_service)]
PublicNode = Annotated[Service, Depends(public_service)]
