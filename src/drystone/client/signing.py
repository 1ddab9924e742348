"""How a client says who asks: a member's signature over each request (RFC 9421), or a token.

Lives here: what is added to requests, each signed anew; a node whose read policy is `open` passes it over. Records that
are submitted carry their own signatures and need no other. May not: read key files. The node's side is `api/access.py`.
"""

from collections.abc import Callable, Generator
from typing import Final

import httpx

from drystone.formats.message_signature import (
    KeyId,
    Message,
    content_digest,
    write_input,
    write_signature,
)
from drystone.home.keyfolder import KeyFile

OWN_SIGNATURE: Final = "/v1/records"
"""What is posted here proves itself."""

ANY_TYPE: Final = "application/octet-stream"


class RequestSigner(httpx.Auth):
    """Signs requests as one member; `now_s` is the wall clock, `nonce` gives 16 to 64 characters, new each time."""

    requires_request_body = True

    def __init__(self, key: KeyFile, *, now_s: Callable[[], int], nonce: Callable[[], str]) -> None:
        self._key = key
        self._now_s = now_s
        self._nonce = nonce

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Send a request signed; what proves itself goes as it is."""
        if request.url.path != OWN_SIGNATURE:
            sign_request(request, self._key, now_s=self._now_s(), nonce=self._nonce())
        yield request


class BearerToken(httpx.Auth):
    """Shows a token with every request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __repr__(self) -> str:
        return "BearerToken()"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Send a request with the token, unless it shows another one."""
        request.headers.setdefault("Authorization", f"Bearer {self._token}")
        yield request


def sign_request(request: httpx.Request, key: KeyFile, *, now_s: int, nonce: str) -> None:
    """Add `Signature-Input` and `Signature`, and for a request with content its type and digest."""
    if request.content:
        request.headers.setdefault("Content-Type", ANY_TYPE)
        request.headers["Content-Digest"] = content_digest(request.content)
    path, _, query = request.url.raw_path.decode("latin-1").partition("?")
    message = Message(
        method=request.method,
        authority=request.headers["Host"].lower(),
        path=path,
        query=query,
        fields={name.lower(): value for name, value in request.headers.items()},
    )
    public = key.secret.public
    text, base = write_input(
        message,
        key=KeyId(key.organisation, key.member, public.kid()),
        alg=public.alg,
        created=now_s,
        nonce=nonce,
    )
    request.headers["Signature-Input"] = text
    request.headers["Signature"] = write_signature(key.secret.sign(base))
