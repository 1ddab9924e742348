"""Every other spelling of a deterministic CBOR item, for tests that show that all of them are refused.

A small reader of its own, so that a fault of the code under test cannot hide itself here. With `inside`, byte strings
that hold one map or array (COSE protected headers, payloads) are respelt inside, too, with their length put right.
"""

import struct
from collections.abc import Iterator


def respellings(data: bytes, *, inside: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield (what was done, bytes) for other spellings of the item, its truncations, and bytes after its end."""
    found, end = _respell(data, 0, inside=inside)
    assert end == len(data)
    yield from found
    for count in range(len(data)):
        yield f"cut to {count} bytes", data[:count]
    for after in (b"\x00", b"\xf6", b"\xff", data):
        yield f"followed by {after[:4].hex()}", data + after
    yield "marked as self-described CBOR", b"\xd9\xd9\xf7" + data


def head(major: int, argument: int, *, width: int | None = None) -> bytes:
    """Return a head of 1 + `width` bytes, the shortest one by default."""
    if width is None:
        width = next(w for w in (0, 1, 2, 4, 8) if argument < (24 if w == 0 else 256**w))
    if width == 0:
        return bytes((major << 5 | argument,))
    return bytes((major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width],)) + argument.to_bytes(width)


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return major type, argument and the offset after a shortest head."""
    major, low = data[at] >> 5, data[at] & 31
    if low < 24:
        return major, low, at + 1
    width = 1 << (low - 24)
    return major, int.from_bytes(data[at + 1 : at + 1 + width]), at + 1 + width


def _respell(data: bytes, at: int, *, inside: bool) -> tuple[list[tuple[str, bytes]], int]:
    major, argument, inner = read_head(data, at)
    if major == 7:
        return [("null as undefined", b"\xf7")] if data[at] == 0xF6 else [], inner
    found: list[tuple[str, bytes]] = []
    children, end = _children(data, inner, major, argument, inside=inside)
    for width in (1, 2, 4, 8):
        if width > inner - at - 1:
            longer = head(major, argument, width=width) + data[inner:end]
            found.append((f"head of {1 + width} bytes at {at}", longer))
    for what, content in _other_forms(data[inner:end], major, argument, data, children):
        found.append((f"{what} at {at}", content))
    if inside and major == 2 and data[inner:end][:1] and data[inner] >> 5 in (4, 5):
        respelt, stop = _respell(data[inner:end], 0, inside=False)
        assert stop == argument
        found += [(f"inside: {w}", head(2, len(r)) + r) for w, r in respelt]
    for start, stop, respelt in children:
        found += [(w, data[at:start] + r + data[stop:end]) for w, r in respelt]
    return found, end


def _children(
    data: bytes, inner: int, major: int, argument: int, *, inside: bool
) -> tuple[list[tuple[int, int, list[tuple[str, bytes]]]], int]:
    count = {4: argument, 5: 2 * argument, 6: 1}.get(major, 0)
    end = inner + argument if major in (2, 3) else inner
    children = []
    for _ in range(count):
        respelt, stop = _respell(data, end, inside=inside)
        children.append((end, stop, respelt))
        end = stop
    return children, end


def _other_forms(
    content: bytes,
    major: int,
    argument: int,
    data: bytes,
    children: list[tuple[int, int, list[tuple[str, bytes]]]],
) -> Iterator[tuple[str, bytes]]:
    if major in (0, 1):
        value = argument if major == 0 else -1 - argument
        for code, form in ((0xFB, ">d"), (0xFA, ">f"), (0xF9, ">e")):
            try:
                yield f"float {form}", bytes((code,)) + struct.pack(form, value)
            except (OverflowError, struct.error):
                continue
        magnitude = argument.to_bytes(max(1, (argument.bit_length() + 7) // 8))
        yield "bignum", bytes((0xC2 + major,)) + head(2, len(magnitude)) + magnitude
    if major in (2, 3):
        yield (
            "indefinite string",
            bytes((major << 5 | 31,)) + head(major, argument) + content + b"\xff",
        )
        half = argument // 2
        pieces = head(major, half) + content[:half] + head(major, argument - half) + content[half:]
        yield "string in two pieces", bytes((major << 5 | 31,)) + pieces + b"\xff"
    if major == 3 and content:
        yield "not UTF-8", head(3, argument) + b"\xff" + content[1:]
    if major in (4, 5):
        yield "indefinite", bytes((major << 5 | 31,)) + content + b"\xff"
        yield "count one too low", head(major, argument - 1) + content if argument else b"\xff"
        yield "count one too high", head(major, argument + 1) + content
    if major == 5:
        pairs = [data[children[i][0] : children[i + 1][1]] for i in range(0, len(children), 2)]
        for i in range(len(pairs)):
            twice = b"".join((*pairs[:i], pairs[i], *pairs[i:]))
            yield f"pair {i} twice", head(5, argument + 1) + twice
        for i in range(1, len(pairs)):
            swapped = [*pairs[: i - 1], pairs[i], pairs[i - 1], *pairs[i + 1 :]]
            yield f"pairs {i - 1} and {i} swapped", head(5, argument) + b"".join(swapped)
