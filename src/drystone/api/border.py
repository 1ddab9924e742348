"""What every HTTP request passes before a route sees it, and every answer on its way out.

Checks the `Host` (a page in a browser elsewhere must not reach a loopback node by renaming itself,
DNS rebinding), bounds the body before anything reads it, counts, and puts the same strict headers
on every answer. No route may weaken them except the pages' own policy. A plain ASGI wrapper,
because the hot route pays for it too. Source: reliability.md 3.2, the issue's item 5.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drystone.api.problems import problem_response
from drystone.errors import HostForeign, Refused, RequestMalformed, TooLarge
from drystone.home.audit import AuditLog
from drystone.home.tokens import TokenBook
from drystone.limits import REQUEST_BYTES_MAX

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Sent with every answer, unless the route has set the same header itself."""

EVENTS_PATH: Final = "/v1/events"

ASKED_METHOD: Final = "drystone.asked_method"
"""Where a scope keeps the method that was asked for, when HEAD is answered as GET: signatures cover it."""

Policy: TypeAlias = Literal["open", "members", "rules"]

OnAnswer = Callable[[str, str, int, float], None]
"""Told route, method, status and seconds of every answered request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorToken:
    """The secret of who runs the node: reads everything, writes without a record's signature."""

    secret: bytes = field(repr=False)

    def equals(self, text: str) -> bool:
        """Say whether a text is this token, in constant time; an empty secret is nobody's."""
        given = text.encode("utf-8", "surrogateescape")
        return bool(self.secret) and hmac.compare_digest(given, self.secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """What the API needs to be told; `node/wiring.py` makes it from the configuration and the keys."""

    token: OperatorToken
    hosts: frozenset[str] = LOOPBACK
    """Names it answers for, without port, lower case; `*` stands for any."""
    clock_s: Callable[[], float]
    """A monotonic clock in seconds, for the duration of requests."""
    now_s: Callable[[], int] = lambda: 0
    """The wall clock in Unix seconds, for signed requests and tokens."""
    policy: Policy = "open"
    """Who may read: everybody, members, or whom the organisations' rules name."""
    log_open: bool = True
    """Whether everybody may read checkpoint and tiles."""
    metrics_open: bool = True
    """Whether everybody may read the node's numbers."""
    tokens: TokenBook | None = field(default=None, repr=False)
    audit: AuditLog | None = None
    keepalive_s: float = 15.0
    """Silence after which an event stream sends a comment, so that proxies keep it open."""


def allowed_hosts(*, host: str, public_url: str) -> frozenset[str]:
    """Names a node answers for: on loopback only loopback's and the public one, elsewhere any.

    `host` is the address the node listens on. A node that others reach by names unknown to it
    answers to all of them: rebinding gains nothing there that a direct request would not.
    """
    public = urlsplit(public_url).hostname if public_url else None
    named = frozenset({public}) if public else frozenset[str]()
    local = host in {"localhost", "::1", "[::1]"} or host.startswith("127.")
    if local:
        return LOOPBACK | named | {host}
    return named | {host} | LOOPBACK if named else frozenset({"*"})


def host_name(header: str) -> str:
    """The name in a `Host` header, without port, lower case; IPv6 keeps its brackets."""
    if header.startswith("["):
        return header.partition("]")[0].lower() + "]"
    return header.partition(":")[0].lower().rstrip(".")


class Border:
    """ASGI middleware: see the module's docstring."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str],
        on_answer: OnAnswer,
        clock_s: Callable[[], float],
        body_bytes_max: int = REQUEST_BYTES_MAX,
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.on_answer = on_answer
        self.clock_s = clock_s
        self.body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with a problem."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = self.clock_s()
        status = 500
        method: str = scope["method"]
        # HEAD is GET without the body; an event stream has no end to wait for.
        bare = method == "HEAD" and scope["path"] != EVENTS_PATH
        if bare:
            scope = {**scope, "method": "GET", ASKED_METHOD: "HEAD"}

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            elif bare:
                message = {**message, "body": b""}
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, self._bounded(receive), send_guarded)
            else:
                answer = problem_response(
                    refusal, instance=scope["path"], headers={"Connection": "close"}
                )
                await answer(scope, receive, send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.on_answer(route, method, status, self.clock_s() - began)

    def _refusal(self, scope: Scope) -> Refused | None:
        """What the headers alone forbid."""
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        named = [value for name, value in headers if name == b"host"]
        host = host_name(named[0].decode("latin-1")) if len(named) == 1 else ""
        if not host or ("*" not in self.hosts and host not in self.hosts):
            return HostForeign(f"this node does not answer for host {host!r}")
        for name, value in headers:
            if name == b"content-length":
                if not value.isdigit():
                    return RequestMalformed("content-length is no number")
                if len(value) > 12 or int(value) > self.body_bytes_max:
                    return TooLarge(f"a body has at most {self.body_bytes_max} bytes")
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """Counts a body that did not say its length, and stops reading at the bound."""
        total = 0

        async def receive_bounded() -> Message:
            nonlocal total
            message = await receive()
            if message["type"] == "http.request":
                total += len(message.get("body", b""))
                if total > self.body_bytes_max:
                    raise TooLarge(f"a body has at most {self.body_bytes_max} bytes")
            return message

        return receive_bounded


def _add_headers(message: Message) -> None:
    headers = cast("list[tuple[bytes, bytes]]", message.setdefault("headers", []))
    present = {name.lower() for name, _ in headers}
    # A new list: the route's own may be shared with a cached response.
    message["headers"] = [*headers, *(pair for pair in HEADERS if pair[0] not in present)]
