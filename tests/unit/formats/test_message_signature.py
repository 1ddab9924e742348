"""HTTP message signatures: the RFC's own vector, our profile, and every way to fall short of it."""

import base64
import re
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from drystone.errors import FieldMalformed, RequestSignature
from drystone.formats import cose, http_fields
from drystone.formats.message_signature import (
    ALGORITHMS,
    COVERED,
    KeyId,
    Message,
    check_digest,
    component,
    content_digest,
    has_signature,
    read_signature,
    signature_base,
    write_input,
    write_signature,
)

# RFC 9421, Appendix B.1.4 (test-key-ed25519), B.2 (test-request) and B.2.6.
B14_PEM = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
B2_REQUEST = Message(
    method="POST",
    authority="example.com",
    path="/foo",
    query="param=Value&Pet=dog",
    fields={
        "host": "example.com",
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "content-type": "application/json",
        "content-digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        "content-length": "18",
    },
)
B26_INPUT = (
    'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"'
)
B26_BASE = """"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519\""""
B26_SIGNATURE = base64.b64decode(
    "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
)


def test_vector_b26_of_the_rfc_gives_its_base_and_its_signature_holds() -> None:
    (found,) = http_fields.parse_dictionary(B26_INPUT).values()
    assert isinstance(found, http_fields.InnerList)
    params = http_fields.serialize_inner_list(found.items, found.params)
    base = signature_base(B2_REQUEST, [str(item.value) for item in found.items], params)
    assert base == B26_BASE.encode()
    key = load_pem_public_key(B14_PEM)
    key.verify(B26_SIGNATURE, base)  # type: ignore[union-attr,call-arg]


GET = Message("GET", "node.example:8420", "/v1/streams/ewz/m-1", "limit=5", {})
POST = Message(
    "POST",
    "node.example",
    "/v1/completeness/ewz/m-1",
    "",
    {"content-type": "application/cbor", "content-digest": content_digest(b"proof")},
)
KEY = KeyId("ewz", "m-1", bytes.fromhex("44be5de2"))
NONCE = "AAAAAAAAAAAAAAAA-_09az"
SIGNATURE = bytes(range(64))


def signed(message: Message, change: Callable[[str], str] = lambda text: text) -> Message:
    """The request with both fields; `change` bends `Signature-Input` first."""
    text, _ = write_input(message, key=KEY, alg=cose.ALG_EDDSA, created=5, nonce=NONCE)
    fields = {"signature-input": change(text), "signature": write_signature(SIGNATURE)}
    return message._replace(fields={**message.fields, **fields})


def test_request_without_content_covers_four_components() -> None:
    text, base = write_input(GET, key=KEY, alg=cose.ALG_EDDSA, created=5, nonce=NONCE)
    params = (
        '("@method" "@authority" "@path" "@query");created=5;'
        f'nonce="{NONCE}";keyid="ewz/m-1/44be5de2";alg="ed25519";tag="drystone"'
    )
    assert text == f"drystone={params}"
    assert base.decode().split("\n") == [
        '"@method": GET',
        '"@authority": node.example:8420',
        '"@path": /v1/streams/ewz/m-1',
        '"@query": ?limit=5',
        f'"@signature-params": {params}',
    ]


def test_request_with_content_covers_its_type_and_digest_too() -> None:
    text, base = write_input(POST, key=KEY, alg=cose.ALG_ES256, created=5, nonce=NONCE)
    assert '"@query" "content-type" "content-digest")' in text
    assert 'alg="ecdsa-p256-sha256"' in text
    assert b'"@query": ?\n"content-type": application/cbor\n"content-digest": sha-256=:' in base


@pytest.mark.parametrize(("message", "content"), [(GET, False), (POST, True)])
def test_what_is_written_is_read_again(message: Message, content: bool) -> None:
    found = read_signature(signed(message), has_content=content)
    _, base = write_input(message, key=KEY, alg=cose.ALG_EDDSA, created=5, nonce=NONCE)
    assert (found.key, found.alg, found.created, found.nonce) == (KEY, "ed25519", 5, NONCE)
    assert (found.base, found.signature, found.expires) == (base, SIGNATURE, None)


def test_other_order_more_components_and_an_end_are_read() -> None:
    message = GET._replace(fields={"date": "today"})
    text = (
        'x=("date" "@query" "@path" "@method" "@authority");tag="drystone";created=5;expires=9'
        f';keyid="ewz/m-1/44be5de2";alg="ed25519";nonce="{NONCE}"'
    )
    fields = {"signature-input": text, "signature": f"x={http_fields.serialize_bare(SIGNATURE)}"}
    found = read_signature(message._replace(fields={**message.fields, **fields}), has_content=False)
    assert found.expires == 9
    assert found.base.startswith(b'"date": today\n"@query": ?limit=5\n')


def test_signature_of_somebody_else_beside_ours_is_passed_over() -> None:
    message = signed(GET)
    fields = dict(message.fields)
    fields["signature-input"] += ', proxy=("@method";req "@path");keyid="p";tag="proxy"'
    fields["signature"] += ", proxy=:AAAA:"
    assert read_signature(message._replace(fields=fields), has_content=False).key == KEY


BENT = {
    "no method": lambda text: text.replace('"@method" ', ""),
    "no authority": lambda text: text.replace('"@authority" ', ""),
    "no path": lambda text: text.replace('"@path" ', ""),
    "no query": lambda text: text.replace(' "@query"', ""),
    "a component twice": lambda text: text.replace('"@path"', '"@path" "@path"'),
    "a component with a parameter": lambda text: text.replace('"@path"', '"@path";req'),
    "a component in capitals": lambda text: text.replace('"@path"', '"@path" "Date"'),
    "a component that is a token": lambda text: text.replace('"@path"', "path"),
    "an unknown derived component": lambda text: text.replace('"@path"', '"@path" "@status"'),
    "a field that is not there": lambda text: text.replace('"@path"', '"@path" "date"'),
    "no created": lambda text: text.replace(";created=5", ""),
    "no nonce": lambda text: re.sub(r';nonce="[^"]+"', "", text),
    "no keyid": lambda text: re.sub(r';keyid="[^"]+"', "", text),
    "no alg": lambda text: text.replace(';alg="ed25519"', ""),
    "no tag": lambda text: text.replace(';tag="drystone"', ""),
    "another tag": lambda text: text.replace('tag="drystone"', 'tag="other"'),
    "a tag that is a token": lambda text: text.replace('tag="drystone"', "tag=drystone"),
    "a created that is text": lambda text: text.replace("created=5", 'created="5"'),
    "a created that is a truth": lambda text: text.replace("created=5", "created"),
    "an end that is text": lambda text: text + ';expires="9"',
    "an unknown parameter": lambda text: text + ";more=1",
    "a short nonce": lambda text: text.replace(NONCE, "A" * 15),
    "a long nonce": lambda text: text.replace(NONCE, "A" * 65),
    "a nonce with other characters": lambda text: text.replace(NONCE, "A A=A+A/A A A A A"),
    "a keyid of two parts": lambda text: text.replace("ewz/m-1/44be5de2", "ewz/44be5de2"),
    "a keyid of four parts": lambda text: text.replace("ewz/m-1", "ewz/gw/m-1"),
    "a kid in capitals": lambda text: text.replace("44be5de2", "44BE5DE2"),
    "a kid too short": lambda text: text.replace("44be5de2", "44be5d"),
    "a name that is no id": lambda text: text.replace("ewz/", "-ewz/"),
    "two signatures with our tag": lambda text: text + ", x" + text[len("drystone") :],
    "no field at all": lambda _: "",
    "an item for a list": lambda _: "drystone=1",
    "another label": lambda text: "x" + text[len("drystone") :],
    "no structured field": lambda _: "(((",
}


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT.keys())
def test_signature_that_falls_short_of_the_profile_is_refused(
    bend: Callable[[str], str],
) -> None:
    with pytest.raises(RequestSignature):
        read_signature(signed(GET, bend), has_content=False)


@pytest.mark.parametrize("name", ["content-type", "content-digest"])
def test_content_that_is_not_covered_is_refused(name: str) -> None:
    message = signed(POST, lambda text: text.replace(f' "{name}"', ""))
    with pytest.raises(RequestSignature, match=f"{name} is not covered"):
        read_signature(message, has_content=True)


def test_content_slipped_into_a_request_signed_without_is_refused() -> None:
    with pytest.raises(RequestSignature, match="content-type is not covered"):
        read_signature(signed(GET), has_content=True)


@pytest.mark.parametrize(
    "field",
    ["", "drystone=:AAAA:", "drystone=1", "x=:AAAA:", "drystone=()", "drystone", "\x00", ":"],
)
def test_field_signature_without_64_bytes_under_the_label_is_refused(field: str) -> None:
    message = signed(GET)
    with pytest.raises(RequestSignature):
        read_signature(
            message._replace(fields={**message.fields, "signature": field}), has_content=False
        )


def test_signature_with_parameters_is_refused() -> None:
    message = signed(GET)
    field = write_signature(SIGNATURE) + ";x=1"
    with pytest.raises(RequestSignature):
        read_signature(
            message._replace(fields={**message.fields, "signature": field}), has_content=False
        )


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "ä"])
def test_component_that_could_forge_a_line_is_refused(value: str) -> None:
    with pytest.raises(FieldMalformed):
        signature_base(GET._replace(fields={"x": value}), ["x"], "()")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "DELETE"},
        {"authority": "other.example"},
        {"path": "/v1/streams/ewz/m-2"},
        {"query": "limit=6"},
        {"query": ""},
    ],
)
def test_every_covered_part_of_the_request_changes_what_is_signed(change: dict[str, str]) -> None:
    message = signed(GET)
    first = read_signature(message, has_content=False).base
    assert read_signature(message._replace(**change), has_content=False).base != first  # type: ignore[arg-type]


def test_components_have_the_rfcs_forms() -> None:
    message = Message("GET", "EXAMPLE.com", "", "", {"x": "  a b  "})
    values = [component(message, name) for name in (*COVERED, "x")]
    assert values == ["GET", "example.com", "/", "?", "a b"]


def test_digest_of_the_content_holds_whatever_else_is_there() -> None:
    field = content_digest(b"proof")
    check_digest(field, b"proof")
    check_digest(f"sha-512=:AAAA:, {field}, unixsum=30637", b"proof")


@pytest.mark.parametrize(
    "field",
    [
        content_digest(b"other"),
        content_digest(b""),
        "",
        "sha-512=:AAAA:",
        "sha-256=AAAA",
        "sha-256=()",
        "sha-256=:AAAA:",
        "sha-256",
        "((",
    ],
)
def test_digest_of_another_content_or_none_is_refused(field: str) -> None:
    with pytest.raises(RequestSignature):
        check_digest(field, b"proof")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, False), ({"signature": "x"}, True), ({"signature-input": ""}, True)],
)
def test_half_a_signature_is_one(fields: dict[str, str], expected: bool) -> None:
    assert has_signature(GET._replace(fields=fields)) is expected


def test_every_algorithm_of_members_keys_has_a_registered_name() -> None:
    from drystone.records.key import ALGORITHMS as KEY_ALGORITHMS

    assert set(ALGORITHMS) == set(KEY_ALGORITHMS)
