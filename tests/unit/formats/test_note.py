"""Signed notes, checkpoints, vkeys, cosignatures: one spelling each, and who signed."""

import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from drystone.errors import NoteMalformed, Refused, SignatureInvalid, TooLarge
from drystone.formats import note
from drystone.formats.note import Checkpoint, Note, NoteSignature, Verifier
from drystone.limits import NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX

WORKED = """\
ledger.example/main
9
xW3b+CgoStPq/DFybhVHzXgtScVzXicgPrdtaMVdfhM=

— ledger.example/main IgRPD6PuxHwJ/9c9xDBsOlqbH9l6hg5n/LxJxaLEc2OuojnBLDbcPo+xILqg9ikEA7ZVaSoa2hbTFoU48Wtlsa9xfw8=
""".encode()
NODE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(32))
NODE_KEY = NODE.public_key().public_bytes_raw()
WITNESS_KEY = WITNESS.public_key().public_bytes_raw()
ORIGIN = "ledger.example/main"
TEXT = "ledger.example/main\n9\nxW3b+CgoStPq/DFybhVHzXgtScVzXicgPrdtaMVdfhM=\n"
NODE_VERIFIER = Verifier(ORIGIN, note.key_id(ORIGIN, 1, NODE_KEY), 1, NODE_KEY)
WITNESS_VERIFIER = Verifier(
    "witness.example", note.key_id("witness.example", 4, WITNESS_KEY), 4, WITNESS_KEY
)
TIME = 1762340400


def verify(key: bytes, message: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise SignatureInvalid("bad") from None


def cosign(text: str, time: int = TIME) -> NoteSignature:
    raw = WITNESS.sign(note.cosignature_message(text, time))
    return NoteSignature("witness.example", WITNESS_VERIFIER.key_id, time.to_bytes(8) + raw)


def test_worked_note_is_read_and_its_signature_verifies() -> None:
    signed = note.decode_note(WORKED)

    assert note.encode_note(signed) == WORKED
    assert signed.text == TEXT
    assert note.verify_note(signed, [NODE_VERIFIER], verify) == (NODE_VERIFIER,)
    checkpoint = note.parse_checkpoint(signed.text)
    assert checkpoint[:2] == (ORIGIN, 9)
    assert note.checkpoint_text(checkpoint) == TEXT


def test_worked_key_has_the_worked_id() -> None:
    vkey = note.format_vkey(ORIGIN, 1, NODE_KEY)

    assert vkey.startswith("ledger.example/main+22044f0f+")
    assert note.parse_vkey(vkey) == NODE_VERIFIER


def test_witness_covers_time_and_text() -> None:
    signed = Note(TEXT, (*note.decode_note(WORKED).signatures, cosign(TEXT)))
    both = [WITNESS_VERIFIER, NODE_VERIFIER]

    assert note.decode_note(note.encode_note(signed)) == signed
    assert note.verify_note(signed, both, verify) == (NODE_VERIFIER, WITNESS_VERIFIER)
    assert note.parse_cosignature(signed.signatures[1].blob)[0] == TIME
    later = signed.signatures[1].blob[:7] + b"\x00" + signed.signatures[1].blob[8:]
    forged = Note(TEXT, (signed.signatures[1]._replace(blob=later),))
    with pytest.raises(NoteMalformed, match="witness"):
        note.verify_note(forged, both, verify)


def test_signature_by_an_unknown_key_is_ignored() -> None:
    stranger = NoteSignature("stranger", b"\x01\x02\x03\x04", bytes(64))
    signed = Note(TEXT, (stranger, *note.decode_note(WORKED).signatures))

    assert note.verify_note(signed, [NODE_VERIFIER], verify) == (NODE_VERIFIER,)
    assert note.verify_note(signed, [], verify) == ()


def test_known_name_with_another_id_is_unknown() -> None:
    other = NoteSignature(ORIGIN, b"\x01\x02\x03\x04", bytes(64))

    assert note.verify_note(Note(TEXT, (other,)), [NODE_VERIFIER], verify) == ()


@pytest.mark.parametrize(
    "signatures",
    [
        (NoteSignature(ORIGIN, NODE_VERIFIER.key_id, bytes(64)),),
        (NoteSignature("witness.example", WITNESS_VERIFIER.key_id, bytes(71)),),
        (NoteSignature("witness.example", WITNESS_VERIFIER.key_id, bytes(72)),),
        (cosign("other\n9\nxW3b+CgoStPq/DFybhVHzXgtScVzXicgPrdtaMVdfhM=\n"),),
        (cosign(TEXT), cosign(TEXT, TIME + 1)),
        (cosign(TEXT), cosign(TEXT)),
    ],
)
def test_bad_or_double_signature_by_a_known_key_refuses_the_note(
    signatures: tuple[NoteSignature, ...],
) -> None:
    with pytest.raises(NoteMalformed):
        note.verify_note(Note(TEXT, signatures), [NODE_VERIFIER, WITNESS_VERIFIER], verify)


def test_two_verifiers_of_one_id_are_refused() -> None:
    twin = NODE_VERIFIER._replace(key=bytes(32))

    with pytest.raises(NoteMalformed, match="two verifiers"):
        note.verify_note(note.decode_note(WORKED), [NODE_VERIFIER, twin], verify)


def replaced(old: str, new: str) -> bytes:
    assert old in WORKED.decode()
    return WORKED.decode().replace(old, new, 1).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        TEXT.encode(),
        TEXT.encode() + b"\n",
        WORKED[:-1],
        WORKED + b"\n",
        WORKED + b"x",
        replaced("\n\n", "\n"),
        replaced("\n\n", "\n\r\n"),
        replaced("main\n9", "main\r\n9"),
        replaced("main\n9", "main\t\n9"),
        replaced("main\n9", "main\x00\n9"),
        replaced("main\n9", "main\udc80\n9"),
        WORKED.replace(b"9", b"\xff", 1),
        replaced("— ", "- "),
        replaced("— ", "—"),
        replaced("— ", "—\u00a0"),
        replaced("— ledger", " — ledger"),
        replaced("— ledger.example/main", "— ledger.example/+main"),
        replaced("— ledger.example/main", "— "),
        replaced("— ledger.example/main", "— ledger\u2028example/main"),
        replaced("— ledger.example/main", "— ledger\u0085example/main"),
        replaced("main IgRP", "main  IgRP"),
        replaced("main IgRP", "main"),
        replaced("sa9xfw8=", "sa9xfw8"),
        replaced("sa9xfw8=", "sa9xfw9="),
        replaced("sa9xfw8=", "sa9xfw8=="),
        replaced("sa9xfw8=", "sa9xfw8= "),
        replaced("sa9xfw8=", "sa9xfw8= x"),
        replaced("sa9xfw8=", "sa9xfé8="),
        replaced("IgRPD6Pu", "IgRP-6Pu"),
        b"a\n\n" + "— n AQIDBA==\n".encode(),
        b"a\n\n" + "— n \n".encode(),
        b"a\n\n" + "— n\n".encode(),
        b"a\n\n" + "— n AQIDBAU=\n".encode() * (NOTE_SIGNATURES_MAX + 1),
    ],
)
def test_bytes_that_are_no_note_are_refused(data: bytes) -> None:
    with pytest.raises(NoteMalformed):
        note.decode_note(data)


def test_note_beyond_the_size_limit_is_refused() -> None:
    with pytest.raises(TooLarge):
        note.decode_note(b"a" * (NOTE_BYTES_MAX + 1))


def test_note_with_a_blank_line_in_its_text_ends_at_the_last_one() -> None:
    data = b"a\n\nb\n\n" + "— n AQIDBAU=\n".encode()

    assert note.decode_note(data) == Note(
        "a\n\nb\n", (NoteSignature("n", b"\x01\x02\x03\x04", b"\x05"),)
    )


@pytest.mark.parametrize(
    "unspeakable",
    [
        Note("no newline", (cosign(TEXT),)),
        Note("", (cosign(TEXT),)),
        Note(TEXT, ()),
        Note("a\tb\n", (cosign(TEXT),)),
        Note("\ud800\n", (cosign(TEXT),)),
        Note(TEXT, (NoteSignature("a b", b"\x01\x02\x03\x04", b"x"),)),
        Note(TEXT, (NoteSignature("a", b"\x01\x02\x03", b"x"),)),
        Note(TEXT, (NoteSignature("a", b"\x01\x02\x03\x04", b""),)),
        Note(TEXT, (NoteSignature("a", b"\x01\x02\x03", b"xy"),)),
    ],
)
def test_note_that_could_not_be_read_is_not_written(unspeakable: Note) -> None:
    with pytest.raises(NoteMalformed):
        note.encode_note(unspeakable)


VKEY = note.format_vkey(ORIGIN, 1, NODE_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "name+22044f0f",
        VKEY.replace("22044f0f", "22044f0e"),
        VKEY.replace("22044f0f", "22044F0F"),
        VKEY.replace("22044f0f", "2204"),
        VKEY.replace("ledger", "ledges"),
        VKEY.replace("ledger", "led er"),
        VKEY.replace("ledger", "led\nger"),
        VKEY.replace("ledger", "led\ud800ger"),
        VKEY + "=",
        VKEY + "\n",
        VKEY[:-4],
        "ledger.example/main+22044f0f+",
        VKEY.replace("AQOh", "BgOh"),
        VKEY.replace("AQOh", "BAOh"),
        VKEY.removeprefix("ledger.example/main"),
    ],
)
def test_text_that_is_no_vkey_is_refused(text: str) -> None:
    with pytest.raises(NoteMalformed):
        note.parse_vkey(text)


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("a b", 1, NODE_KEY),
        ("a+b", 1, NODE_KEY),
        ("", 1, NODE_KEY),
        ("a", 6, NODE_KEY),
        ("a", 1, b"x"),
    ],
)
def test_vkey_of_another_kind_is_not_written(name: str, kind: int, key: bytes) -> None:
    with pytest.raises(NoteMalformed):
        note.format_vkey(name, kind, key)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([1, 4]))
def test_vkeys_round_trip(key: bytes, kind: int) -> None:
    verifier = note.parse_vkey(note.format_vkey("node-1.example/x", kind, key))

    assert (verifier.name, verifier.type, verifier.key) == ("node-1.example/x", kind, key)


ROOT = "xW3b+CgoStPq/DFybhVHzXgtScVzXicgPrdtaMVdfhM="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"o\n9\n{ROOT}",
        f"o\n9\n{ROOT}\n\n",
        f"o\n9\n{ROOT}\nextension\n",
        f"\n9\n{ROOT}\n",
        f"o\r\n9\n{ROOT}\n",
        f"o\n09\n{ROOT}\n",
        f"o\n+9\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n 9\n{ROOT}\n",
        f"o\n9.0\n{ROOT}\n",
        f"o\n٩\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n9223372036854775808\n{ROOT}\n",
        f"o\n{'9' * 5000}\n{ROOT}\n",
        "o\n9\n\n",
        "o\n9\nxW3b\n",
        f"o\n9\n{ROOT[:-2]}N=\n",
        f"o\n9\n {ROOT}\n",
        f"o\n9\n{ROOT} \n",
    ],
)
def test_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteMalformed):
        note.parse_checkpoint(text)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_round_trip(size: int, root: bytes) -> None:
    checkpoint = Checkpoint("origin with space, as some logs have", size, root)

    assert note.parse_checkpoint(note.checkpoint_text(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 1, bytes(32)),
        Checkpoint("a\nb", 1, bytes(32)),
        Checkpoint("a", -1, bytes(32)),
        Checkpoint("a", 2**63, bytes(32)),
        Checkpoint("a", 1, bytes(31)),
    ],
)
def test_checkpoint_that_could_not_be_read_is_not_written(checkpoint: Checkpoint) -> None:
    with pytest.raises(NoteMalformed):
        note.checkpoint_text(checkpoint)


@pytest.mark.parametrize("seed", range(3))
def test_mutants_are_refused_or_are_their_own_spelling_and_never_verify(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3000):
        mutant = bytearray(WORKED)
        for _ in range(rng.randint(1, 2)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        if mutant == WORKED:
            continue
        try:
            signed = note.decode_note(bytes(mutant))
            assert note.encode_note(signed) == mutant
            assert note.verify_note(signed, [NODE_VERIFIER], verify) == ()
            note.parse_checkpoint(signed.text)
        except Refused:
            continue


@given(st.binary(max_size=200), st.text(max_size=100))
def test_any_bytes_or_text_is_refused_with_a_typed_error_or_read(data: bytes, text: str) -> None:
    for read, value in (
        (note.decode_note, data),
        (note.parse_vkey, text),
        (note.parse_checkpoint, text),
        (note.parse_cosignature, data),
    ):
        try:
            read(value)  # type: ignore[operator]
        except Refused:
            continue
