"""Frames between the processes of one node: whole, bounded, plain."""

import asyncio
import marshal
import socket
from typing import NamedTuple

import pytest

from drystone import limits
from drystone.errors import ChannelClosed, InvariantBroken
from drystone.workers import channel
from drystone.workers.channel import AsyncChannel, BlockingChannel


def test_a_message_arrives_as_it_was_sent() -> None:
    left, right = channel.pair()
    sender, receiver = BlockingChannel(left.detach()), BlockingChannel(right.detach())
    message = (1, "two", b"three", None, True, [(-(2**63), {"k": (b"", ())})])

    sender.send(message)

    assert receiver.receive() == message
    sender.close()
    assert receiver.receive() is None
    receiver.close()


def test_a_large_message_crosses_both_kinds_of_ends() -> None:
    left, right = channel.pair()
    message = (b"x" * 3_000_000, list(range(100_000)))

    async def run() -> object:
        front = await AsyncChannel.open(left)
        worker = BlockingChannel(right.detach())
        echo = asyncio.create_task(asyncio.to_thread(lambda: worker.send(worker.receive())))
        await front.send(message)
        answer = await front.receive()
        await echo
        worker.close()
        assert await front.receive() is None
        await front.close()
        return answer

    assert asyncio.run(run()) == message


def test_a_process_that_dies_in_the_middle_of_a_frame_looks_closed() -> None:
    left, right = channel.pair()
    receiver = BlockingChannel(right.detach())
    left.sendall(channel.encode_frame(b"x" * 100)[:50])
    left.close()

    assert receiver.receive() is None
    receiver.close()


def test_the_async_end_takes_a_broken_off_frame_for_the_end() -> None:
    left, right = channel.pair()

    async def run() -> object:
        front = await AsyncChannel.open(right)
        left.sendall(channel.encode_frame(b"x" * 100)[:50])
        left.close()
        answer = await front.receive()
        await front.close()
        return answer

    assert asyncio.run(run()) is None


def test_a_frame_beyond_the_bound_is_refused_before_it_is_read() -> None:
    left, right = channel.pair()
    receiver = BlockingChannel(right.detach())
    left.sendall((limits.FRAME_BYTES_MAX + 1).to_bytes(4))

    with pytest.raises(InvariantBroken, match="a frame of"):
        receiver.receive()
    receiver.close()
    left.close()


def test_a_message_beyond_the_bound_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FRAME_BYTES_MAX", 100)
    with pytest.raises(InvariantBroken, match="a message of"):
        channel.encode_frame(b"x" * 101)


class Named(NamedTuple):
    value: int


@pytest.mark.parametrize("message", [Named(1), object(), {1: Named(2)}])
def test_what_is_not_plain_is_not_sent(message: object) -> None:
    with pytest.raises(InvariantBroken, match="not plain"):
        channel.encode_frame(message)


@pytest.mark.parametrize("body", [b"", b"\xff", b"(\x05\x00\x00\x00", marshal.dumps(1)[:2]])
def test_bytes_that_are_no_message_stop_the_process(body: bytes) -> None:
    left, right = channel.pair()
    receiver = BlockingChannel(right.detach())
    left.sendall(len(body).to_bytes(4) + body)
    with pytest.raises(InvariantBroken, match="no message"):
        receiver.receive()
    receiver.close()
    left.close()


def test_sending_to_a_process_that_is_gone_says_so() -> None:
    left, right = channel.pair()
    right.close()
    sender = BlockingChannel(left.detach())
    with pytest.raises(ChannelClosed):
        sender.send(b"x" * 1_000_000)
    sender.close()


def test_receiving_after_a_reset_looks_closed() -> None:
    left, right = channel.pair()
    left.sendall(b"unread")
    receiver = BlockingChannel(left.detach())
    right.close()  # With unread bytes behind it: the other end sees a reset.
    assert receiver.receive() is None
    receiver.close()


async def send_much(front: AsyncChannel) -> None:
    for _ in range(100):
        await front.send(b"x" * 100_000)


def test_the_async_end_says_that_the_other_process_is_gone() -> None:
    async def run() -> None:
        left, right = channel.pair()
        front = await AsyncChannel.open(left)
        right.close()
        with pytest.raises(ChannelClosed):
            await send_much(front)
        await front.close()
        with pytest.raises(ChannelClosed, match="closed"):
            await front.send(1)

    asyncio.run(run())


def test_the_async_end_refuses_a_frame_beyond_the_bound() -> None:
    async def run() -> None:
        left, right = channel.pair()
        front = await AsyncChannel.open(left)
        right.sendall((limits.FRAME_BYTES_MAX + 1).to_bytes(4))
        with pytest.raises(InvariantBroken, match="a frame of"):
            await front.receive()
        await front.close()
        right.close()

    asyncio.run(run())


def test_a_pair_is_two_connected_stream_sockets() -> None:
    left, right = channel.pair()
    with left, right:
        assert left.type == right.type == socket.SOCK_STREAM
        left.sendall(b"a")
        assert right.recv(1) == b"a"
