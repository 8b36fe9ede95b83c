"""SRTP: RFC vectors, libsrtp at the other end, and what is refused (group 44)."""

from __future__ import annotations

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.gateway import rtp, run_of

from livetrio.webrtc.run import Run
from livetrio.webrtc.srtp import MAX_SSRCS, PROFILES, SrtpKeys, derive, open_srtp

GCM = "SRTP_AEAD_AES_128_GCM"
CM = "SRTP_AES128_CM_SHA1_80"
LIBSRTP = {
    GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    CM: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
RTCP = b"\x80\xc9\0\1\0\0\0\7"


def pair(profile):
    """Two ends of ours."""
    one = PROFILES[profile]
    local, remote = bytes(range(one.key)), bytes(range(100, 100 + one.key))
    salts = bytes(range(one.salt)), bytes(range(50, 50 + one.salt))
    here = open_srtp(profile, SrtpKeys(local, salts[0], remote, salts[1]))
    there = open_srtp(profile, SrtpKeys(remote, salts[1], local, salts[0]))
    return here[0], there[1]


def libsrtp(profile, kind):
    one = PROFILES[profile]
    key = bytes(range(one.key)) + bytes(range(one.salt))
    return pylibsrtp.Session(
        pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=LIBSRTP[profile])
    )


def sealed(sealer, run) -> list[bytes]:
    view, segment, count = sealer.seal(run)
    found = [bytes(view[at : at + segment]) for at in range(0, len(view), segment)]
    assert len(found) == count
    return found


def test_keys_are_derived_as_the_rfc_shows():  # RFC 3711 appendix B.3
    key = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert derive(key, salt, 0, 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert derive(key, salt, 2, 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"


@pytest.mark.parametrize("profile", PROFILES)
def test_libsrtp_reads_what_we_seal(profile):
    sealer, _ = pair(profile)
    session = libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    run = run_of(65530, 12)
    assert [session.unprotect(data) for data in sealed(sealer, run)] == run.packets
    for _ in range(3):
        assert session.unprotect_rtcp(sealer.seal_rtcp(RTCP)) == RTCP


@pytest.mark.parametrize("profile", PROFILES)
def test_we_open_what_libsrtp_protects(profile):
    one = PROFILES[profile]
    keys = SrtpKeys(bytes(one.key), bytes(one.salt), bytes(range(one.key)), bytes(range(one.salt)))
    _, opener = open_srtp(profile, keys)
    session = libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    for number in range(0, 200_000, 9_999):
        packet = rtp(number)
        assert opener.open_rtp(session.protect(packet)) == packet
        assert opener.open_rtcp(session.protect_rtcp(RTCP)) == RTCP


@pytest.mark.parametrize("profile", PROFILES)
def test_header_extensions_and_sources_stay_readable_and_authentic(profile):
    sealer, opener = pair(profile)
    head = bytes((0x92, 96)) + rtp(5)[2:12] + bytes(8) + b"\xbe\xde\0\1\x10\xff\0\0"
    packet = head + b"payload"
    (data,) = sealed(sealer, Run([packet], [5]))
    assert data[: len(head)] == head
    assert opener.open_rtp(data[:20] + b"\1" + data[21:]) is None
    assert opener.open_rtp(data) == packet


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_is_taken_twice(profile):
    sealer, opener = pair(profile)
    (data,) = sealed(sealer, run_of(5))
    assert opener.open_rtp(data)
    assert opener.open_rtp(data) is None
    compound = sealer.seal_rtcp(RTCP)
    assert opener.open_rtcp(compound)
    assert opener.open_rtcp(compound) is None


@pytest.mark.parametrize("profile", PROFILES)
def test_late_packets_are_taken_within_the_window_and_not_beyond(profile):
    sealer, opener = pair(profile)
    packets = [sealed(sealer, run_of(number))[0] for number in range(1500)]
    assert opener.open_rtp(packets[1400])
    assert opener.open_rtp(packets[400])
    assert opener.open_rtp(packets[300]) is None
    assert opener.open_rtp(packets[1499])


@pytest.mark.parametrize("profile", PROFILES)
def test_forged_packets_change_nothing(profile):
    sealer, opener = pair(profile)
    (first,) = sealed(sealer, run_of(10))
    (second,) = sealed(sealer, run_of(11))
    assert opener.open_rtp(first)
    forged = first[:2] + (60_000).to_bytes(2, "big") + first[4:]
    assert opener.open_rtp(forged) is None
    assert opener.open_rtp(second[:-1] + bytes((second[-1] ^ 1,))) is None
    assert opener.open_rtp(second + b"mki!") is None  # none was negotiated
    assert opener.open_rtp(second) == run_of(11).packets[0]


@pytest.mark.parametrize("profile", PROFILES)
def test_unencrypted_rtcp_is_refused(profile):
    sealer, opener = pair(profile)
    data = bytearray(sealer.seal_rtcp(RTCP))
    at = -4 if profile != CM else -14
    data[at] &= 0x7F
    assert opener.open_rtcp(bytes(data)) is None
    if profile == GCM:  # authentic, but in the clear: E=0 as RFC 7714 section 17 allows it
        assert opener.open_rtcp(RTCP + bytes(16) + bytes(4)) is None


@pytest.mark.parametrize("profile", PROFILES)
def test_a_flood_of_ssrcs_meets_a_bound(profile):
    sealer, opener = pair(profile)
    taken = 0
    for ssrc in range(MAX_SSRCS + 10):
        (data,) = sealed(sealer, run_of(1, ssrc=ssrc))
        taken += opener.open_rtp(data) is not None
    assert taken == MAX_SSRCS
    if profile == GCM:
        heard = [
            opener.open_rtcp(sealer.seal_rtcp(RTCP[:4] + ssrc.to_bytes(4, "big")))
            for ssrc in range(MAX_SSRCS + 10)
        ]
        assert sum(one is not None for one in heard) == MAX_SSRCS


@pytest.mark.parametrize("profile", PROFILES)
@given(st.binary(max_size=80))
def test_garbage_is_refused_in_silence(profile, garbage):
    _, opener = pair(profile)
    for data in (garbage, b"\x80\x60" + garbage, b"\x9f\x60" + garbage, b"\x80\xc8" + garbage):
        assert opener.open_rtp(data) is None
        assert opener.open_rtcp(data) is None


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("size", [1_400, 1_501, 2_048])
def test_what_is_too_long_for_the_library_is_refused_in_silence(profile, size):
    sealer, opener = pair(profile)
    assert opener.open_rtp(rtp(1, bytes(size))) is None
    rtcp = b"\x80\xc9" + bytes(size)
    assert opener.open_rtcp(rtcp[:-14] + b"\x80" + rtcp[-13:]) is None
    run = Run([rtp(1, bytes(size)), rtp(2)], [1, 2])
    assert rtp(2) in {opener.open_rtp(data) for data in sealed(sealer, run)}


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_newcomer_was_never_sent_is_kept_back(profile):
    sealer, _ = pair(profile)
    assert len(sealed(sealer, run_of(3 << 16, 2))) == 2
    view, _, count = sealer.seal(run_of(100))
    assert (len(view), count) == (0, 0)


def test_a_packet_far_too_old_for_libsrtp_is_left_out():
    sealer, _ = pair(CM)
    for number in range(0, 20_000, 100):
        sealed(sealer, run_of(number))
    assert sealer.seal(run_of(1))[2] == 0
    assert len(sealed(sealer, run_of(20_000))) == 1
