"""UdpSocket: segmented sends, and what happens where the kernel has none."""

from __future__ import annotations

import errno
import socket

import pytest

from livetrio.webrtc.datagrams import UdpSocket


class Choosy:
    """A socket that refuses segmented sends, or everything."""

    family = socket.AF_INET

    def __init__(self, segmented: int | None = None, plain: int | None = None):
        self.segmented, self.plain = segmented, plain
        self.asked, self.sent = 0, []

    def setsockopt(self, *args):
        raise OSError(errno.ENOPROTOOPT, "no")

    def sendmsg(self, buffers, ancillary, flags, address):
        self.asked += 1
        if self.segmented is not None:
            raise OSError(self.segmented, "no")
        self.sent.append(bytes(buffers[0]))

    def sendto(self, data, address):
        if self.plain is not None:
            raise OSError(self.plain, "no")
        self.sent.append(bytes(data))


VIEW = memoryview(b"aaaabbbbcc")
HERE = ("127.0.0.1", 9)


def test_a_run_is_one_call():
    sock = Choosy()
    assert UdpSocket(sock, None).send_run(VIEW, 4, HERE) == 3
    assert sock.sent == [b"aaaabbbbcc"]


def test_one_datagram_is_sent_as_such():
    sock = Choosy()
    assert UdpSocket(sock, None).send_run(VIEW[:4], 4, HERE) == 1
    assert (sock.asked, sock.sent) == (0, [b"aaaa"])


@pytest.mark.parametrize("refusal", [errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP])
def test_a_kernel_without_segments_is_asked_once(refusal):
    sock = Choosy(segmented=refusal)
    udp = UdpSocket(sock, None)
    for _ in range(2):
        assert udp.send_run(VIEW, 4, HERE) == 3
    assert (sock.asked, sock.sent) == (1, [b"aaaa", b"bbbb", b"cc"] * 2)


def test_a_destination_that_takes_no_segments_does_not_decide_for_the_others():
    sock = Choosy(segmented=errno.EINVAL)
    udp = UdpSocket(sock, None)
    assert udp.send_run(VIEW, 4, HERE) == 3
    sock.segmented = None
    assert udp.send_run(VIEW, 4, HERE) == 3
    assert sock.sent == [b"aaaa", b"bbbb", b"cc", b"aaaabbbbcc"]


@pytest.mark.parametrize("refusal", [errno.EAGAIN, errno.ENOBUFS, errno.EPERM, errno.EHOSTUNREACH])
def test_a_full_or_unreachable_network_drops_and_counts(refusal):
    udp = UdpSocket(Choosy(segmented=refusal, plain=refusal), None)
    assert udp.send_run(VIEW, 4, HERE) == 0
    assert udp.send(b"x", HERE) is False
    assert udp.failed == 2


def test_real_sockets_cut_a_run_into_its_datagrams():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        ours.bind(("127.0.0.1", 0))
        theirs.bind(("127.0.0.1", 0))
        theirs.settimeout(5)
        UdpSocket(ours, None).send_run(VIEW, 4, theirs.getsockname())
        assert [theirs.recv(100) for _ in range(3)] == [b"aaaa", b"bbbb", b"cc"]
