"""Whether a signed request is what it says: its key, its time, its nonce, its content (RFC 9421).

The signature's form is `formats/message_signature.py`'s business; here it meets the ledger's keys and
the clock. Whoever cannot prove a key learns nothing about it: an unknown member, an unknown key, a
wrong algorithm and a wrong signature are refused with the same words; the audit log has the reason.
Source: RFC 9421 section 3.2, formats.md A7.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

from drystone import limits
from drystone.api.border import ASKED_METHOD
from drystone.api.service import Service
from drystone.api.values import KnownKey
from drystone.errors import (
    Overloaded,
    Refused,
    RequestReplayed,
    RequestSignature,
    RequestStale,
)
from drystone.formats.message_signature import (
    ALGORITHMS,
    Message,
    RequestSignatureInput,
    check_digest,
    read_signature,
)

UNIFORM: Final = "the signature is not that of an active key of this member"
RETRY_AFTER_MS: Final = 5_000


class SeenNonces:
    """The nonces of the last minutes, each once; bounded as a whole and for each member."""

    def __init__(self) -> None:
        self._expiry: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._counts: dict[str, int] = {}

    def add(self, member: str, nonce: str, *, now_s: int) -> None:
        """Remembers a nonce for as long as its request could be sent again.

        Raises: RequestReplayed (it is there), Overloaded (no room).
        """
        self._forget(now_s)
        if (member, nonce) in self._expiry:
            raise RequestReplayed(f"nonce {nonce} of {member} was used before")
        count = self._counts.get(member, 0)
        if count >= limits.NONCES_MEMBER_MAX or len(self._expiry) >= limits.NONCES_MAX:
            raise Overloaded(
                f"{count} signed requests of {member} are remembered", retry_after_ms=RETRY_AFTER_MS
            )
        self._counts[member] = count + 1
        lasting = limits.SIGNATURE_AGE_S_MAX + limits.SIGNATURE_AHEAD_S_MAX
        self._expiry[member, nonce] = now_s + lasting

    def _forget(self, now_s: int) -> None:
        while self._expiry:
            (member, nonce), expires_s = next(iter(self._expiry.items()))
            if expires_s >= now_s:
                return
            del self._expiry[member, nonce]
            self._counts[member] -= 1
            if not self._counts[member]:
                del self._counts[member]


class SignatureChecker:
    """Checks signed requests against the ledger's keys and this node's clock."""

    def __init__(self, service: Service, *, now_s: Callable[[], int]) -> None:
        self._service = service
        self._now_s = now_s
        # What was signed before this start may have been answered before it: its nonce is forgotten.
        self._started_s = now_s()
        self._seen = SeenNonces()

    async def check(self, request: Request) -> KnownKey:
        """Gives the key that signed a request.

        Raises: RequestSignature, RequestStale, RequestReplayed, Overloaded; MemberSuspended,
        OrganisationUnknown or KeyRevoked where a key signed that no longer speaks for its member.
        """
        content = await request.body()
        message = message_of(request)
        found = read_signature(message, has_content=bool(content))
        if content or "content-digest" in message.fields:
            check_digest(message.fields.get("content-digest", ""), content)
        self._check_time(found)
        known = await self._service.known_key(found.key.iss, found.key.sub, kid=found.key.kid)
        try:
            _check_bytes(known, found)
        except Refused as error:
            raise RequestSignature(UNIFORM) from error
        assert known is not None, "an unknown key has just been refused"
        self._seen.add(f"{found.key.iss}/{found.key.sub}", found.nonce, now_s=self._now_s())
        if known.refusal is not None:
            raise known.refusal
        return known

    def _check_time(self, found: RequestSignatureInput) -> None:
        now_s = self._now_s()
        age_s = now_s - found.created
        if not -limits.SIGNATURE_AHEAD_S_MAX <= age_s <= limits.SIGNATURE_AGE_S_MAX:
            raise RequestStale(f"signed {age_s} s ago by the signer's clock")
        if found.created < self._started_s:
            raise RequestStale("signed before this node started: sign again")
        if found.expires is not None and found.expires < now_s:
            raise RequestStale(f"expired {now_s - found.expires} s ago")


def _check_bytes(known: KnownKey | None, found: RequestSignatureInput) -> None:
    if known is None:
        raise RequestSignature("no such member, or no such key of it")
    if ALGORITHMS.get(known.key.alg) != found.alg:
        raise RequestSignature(f"the key is not one for {found.alg}")
    known.key.verify(found.base, found.signature)


def message_of(request: Request) -> Message:
    """The parts of a request that a signature can cover, as they were sent."""
    scope = request.scope
    fields: dict[str, str] = {}
    for name, value in request.headers.items():
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    authority = fields.get("host", "")
    port = ":443" if scope.get("scheme") == "https" else ":80"
    return Message(
        method=scope.get(ASKED_METHOD, scope["method"]),
        authority=authority.lower().removesuffix(port),
        path=scope.get("raw_path", scope["path"].encode()).decode("latin-1"),
        query=scope.get("query_string", b"").decode("latin-1"),
        fields=fields,
    )
