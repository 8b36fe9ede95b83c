"""Transport streams read: what was muxed comes out, by us or by FFmpeg, and lies harm nobody."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit.media import aac_frame, aac_track, avc_track, sample_packets
from kit.ts import SIZE, each, pes, read_all, section, shifted_ts, transport, ts_file

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.hevc import HevcConfig
from livetrio.wire.mpegts import demux as demux_module
from livetrio.wire.mpegts.demux import TsDemuxer
from livetrio.wire.mpegts.elementary import Sounds
from livetrio.wire.mpegts.frames import HEADS
from livetrio.wire.mpegts.packets import Framing, read_packet
from livetrio.wire.mpegts.sections import SectionReader, read_association, read_map
from livetrio.wire.tracks import track_from_record

SECOND = 1_000_000
HEVC = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300000300"
    "3c959809210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)
PACKETS = [p for p in sample_packets(3.0) if p.track.kind is not Kind.DATA]
GOOD = ts_file(PACKETS)
VIDEO = [p for p in PACKETS if p.track.kind is Kind.VIDEO and not p.config]
AUDIO = [p for p in PACKETS if p.track.kind is Kind.AUDIO and not p.config]


def frames(packets, kind: Kind = Kind.VIDEO) -> list[Packet]:
    return [p for p in packets if p.track.kind is kind and not p.config]


def contents(packets, kind: Kind = Kind.VIDEO) -> list[bytes]:
    return [p.data for p in frames(packets, kind)]


@pytest.mark.parametrize("size", [0, 1_000, 188, 61])
def test_what_our_muxer_wrote_is_read_back(size):
    found = read_all(TsDemuxer(base=(90_000, 0)), GOOD, size)
    assert contents(found) == [p.data for p in VIDEO]
    assert contents(found, Kind.AUDIO) == [p.data for p in AUDIO]
    assert [p.key for p in frames(found)] == [p.key for p in VIDEO]
    for one, other in zip(frames(found), VIDEO, strict=True):
        assert one.dts == pytest.approx(other.dts, abs=12)
        assert one.pts == pytest.approx(other.pts, abs=12)
    for one, other in zip(frames(found, Kind.AUDIO), AUDIO, strict=True):
        assert one.dts == pytest.approx(other.dts, abs=1_000)


def test_configurations_are_announced_once_and_are_the_publishers():
    found = read_all(TsDemuxer(), GOOD)
    configs = [p for p in found if p.config]
    assert [(p.track.codec, p.data) for p in configs] == [
        (Codec.H264, avc_track().config),
        (Codec.AAC, aac_track().config),
    ]
    assert (configs[0].track.width, configs[0].track.height) == (64, 64)
    assert (configs[1].track.sample_rate, configs[1].track.channels) == (48_000, 2)


@pytest.mark.parametrize(
    ("encoder", "codec", "rate"),
    [
        ("mp2", Codec.MP3, 48_000),
        ("libmp3lame", Codec.MP3, 44_100),
        ("libmp3lame", Codec.MP3, 22_050),
        ("ac3", Codec.AC3, 48_000),
        ("ac3", Codec.AC3, 44_100),
        ("eac3", Codec.EAC3, 48_000),
        ("aac", Codec.AAC, 44_100),
    ],
)
def test_sound_that_ffmpeg_muxed_is_read_frame_by_frame(encoder, codec, rate):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        stream = container.add_stream(encoder, rate=rate)
        for number in range(80):
            frame = av.AudioFrame(format=stream.format.name, layout="stereo", samples=1_024)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = rate, number * 1_024
            frame.time_base = Fraction(1, rate)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    data = buffer.getvalue()
    with av.open(io.BytesIO(data), format="mpegts") as container:
        wanted = [(p.size, bytes(p)) for p in container.demux(audio=0) if p.size]
    found = frames(read_all(TsDemuxer(), data), Kind.AUDIO)
    assert {p.track.codec for p in found} == {codec}
    assert {p.track.sample_rate for p in found} == {rate}
    skip = 7 if codec is Codec.AAC else 0
    assert [p.data for p in found] == [whole[skip:] for _, whole in wanted]
    gaps = {round((b.dts - a.dts) * rate / SECOND) for a, b in pairwise(found)}
    assert len(gaps) <= 2


@pytest.mark.parametrize(("encoder", "codec"), [("libx264", Codec.H264), ("libx265", Codec.HEVC)])
def test_pictures_that_ffmpeg_muxed_are_read_with_their_b_frames(encoder, codec):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        stream = container.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"preset": "ultrafast", "bf": "2", "g": "10", "x265-params": "log-level=0"}
        for number in range(30):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes((number * 8 % 256,)) * plane.buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = buffer.getvalue()
    with av.open(io.BytesIO(data), format="mpegts") as container:
        wanted = [(p.dts, p.pts, p.is_keyframe) for p in container.demux(video=0) if p.size]
    found = frames(read_all(TsDemuxer(), data))
    assert [(p.dts * 9 // 100, p.pts * 9 // 100, p.key) for p in found] == [
        pytest.approx(one, abs=1) for one in wanted
    ]
    assert found[0].track.codec is codec
    assert (found[0].track.width, found[0].track.height) == (64, 64)


def test_nonsense_before_between_and_behind_packets_is_passed_over():
    middle = len(GOOD) // SIZE // 2 * SIZE
    junk = b"\x47" + bytes(70) + b"\x47\x00\x47" * 5
    data = junk + GOOD[:middle] + junk * 9 + bytes(50_000) + GOOD[middle:] + junk
    for size in (0, 997):
        found = read_all(TsDemuxer(), data, size)
        assert len(frames(found)) >= len(VIDEO) - 1
        assert len(frames(found, Kind.AUDIO)) >= len(AUDIO) - 10


def test_gigabytes_of_nonsense_are_not_kept():
    framing = Framing()
    for _ in range(300):
        assert framing.feed(bytes(1 << 20)) == []
    assert framing.feed(b"\x47" * 100) == []
    assert len(framing._rest) < 3 * SIZE


def test_a_lost_packet_costs_its_frame_and_no_other():
    packets = each(GOOD)
    starts = [n for n, p in enumerate(packets) if p[1] & 0x5F == 0x41 and not p[2]]
    found = read_all(TsDemuxer(), b"".join(packets[: starts[9]] + packets[starts[9] + 1 :]))
    # the one before is not bounded, and may have lost its end
    assert contents(found) == [p.data for p in VIDEO[:8] + VIDEO[10:]]
    assert contents(found, Kind.AUDIO) == [p.data for p in AUDIO]


def test_a_packet_that_came_twice_is_taken_once():
    body = pes(SETS + IDR * 100, 90_000)
    pieces = [
        transport(0x100, body[pos : pos + 184], count=pos // 184) for pos in range(0, 400, 184)
    ]
    first = transport(0x100, body[:184], starts=True)
    once = stream(first, *pieces[1:])
    twice = stream(first, *(packet for piece in pieces[1:] for packet in (piece, piece)))
    assert [p.data for p in twice] == [p.data for p in once]


def test_time_stamps_that_wrap_go_on():
    almost = (1 << 33) * 100 // 9 - 1_500_000 - SECOND
    found = read_all(TsDemuxer(), ts_file(shifted_ts(PACKETS, almost)))
    times = [p.dts for p in frames(found)]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(VIDEO[-1].dts - VIDEO[0].dts, abs=30)


def test_scrambled_packets_are_left_out_and_noted():
    data = bytearray(GOOD)
    for pos in range(0, len(data), SIZE):
        if data[pos + 1] & 0x1F == 1:  # both streams, not the tables
            data[pos + 3] |= 0x80
    demuxer = TsDemuxer()
    assert read_all(demuxer, bytes(data)) == []
    assert demuxer.scrambled
    # scrambled on the level of PES
    stream = TsDemuxer()
    header = bytearray(pes(b"\x00\x00\x01\x65", 0))
    header[6] |= 0x10
    tables = GOOD[: 2 * SIZE]
    assert read_all(stream, tables + transport(0x100, bytes(header), starts=True)) == []


def program(*streams: tuple[int, int, bytes], pcr: int = 0x100, version: int = 0) -> bytes:
    """PAT and PMT."""
    body = (0xE000 | pcr).to_bytes(2, "big") + b"\xf0\x00"
    for type_, pid, descriptors in streams:
        body += bytes((type_,)) + (0xE000 | pid).to_bytes(2, "big")
        body += (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
    pat = transport(0, section(0, b"\x00\x01\xf0\x00"), starts=True, count=version)
    return pat + transport(0x1000, section(2, body), starts=True, count=version)


def test_a_new_map_in_the_middle_changes_the_streams():
    first = ts_file([p for p in PACKETS if p.dts < SECOND])
    moved = bytearray(ts_file([p for p in PACKETS if p.config or p.dts >= SECOND]))
    for pos in range(0, len(moved), SIZE):  # the streams on other PIDs
        if moved[pos + 1] & 0x1F == 1:
            moved[pos + 2] |= 0x20
    tables = program((0x1B, 0x120, b""), (0x0F, 0x121, b""), pcr=0x120, version=1)
    demuxer = TsDemuxer()
    found = read_all(demuxer, first + tables + bytes(moved))
    # its own tables are those of before
    assert contents(found)[: len(VIDEO) // 3] == [p.data for p in VIDEO if p.dts < SECOND]
    body = b"".join(p for p in each(bytes(moved)) if p[1] & 0x1F == 1)
    demuxer = TsDemuxer()
    found = read_all(demuxer, first + tables + body)
    assert contents(found) == [p.data for p in VIDEO]
    assert [stream.pid for stream in demuxer.streams] == [0x120, 0x121]


def test_a_map_may_take_streams_away_and_private_ones_are_told_by_descriptor():
    ac3, eac3 = (0x06, 0x110, b"\x0a\x04eng\x00\x6a\x01\x00"), (0x06, 0x111, b"\x7a\x01\x00")
    demuxer = TsDemuxer()
    read_all(demuxer, GOOD + program(ac3, eac3, (0x06, 0x112, b"\x05\x00"), (0x02, 0x113, b"")))
    assert demuxer.streams == [(0x110, Codec.AC3)]
    assert demuxer.tracks == []


def test_sections_go_over_several_packets_and_several_into_one():
    whole = section(2, bytes(2) + b"\xf0\x00" + b"\x1b\xe1\x00\xf0\x00" * 50)[1:]
    reader = SectionReader()
    assert reader.feed(b"early", starts=False) == []
    assert reader.feed(b"\x00" + whole[:180], starts=True) == []
    tail = whole[180:]
    assert reader.feed(bytes((len(tail),)) + tail + whole[:20], starts=True) == [whole]
    assert reader.feed(whole[20:], starts=False) == [whole]
    assert reader.feed(b"\x00\xff\xff\xff", starts=True) == []
    assert reader.feed(b"", starts=True) == []
    assert len(read_map(whole) or ()) == 50


def test_more_streams_than_a_program_has_are_not_read():
    whole = section(2, bytes(2) + b"\xf0\x00" + b"\x1b\xe1\x00\xf0\x00" * 190)[1:]
    assert len(read_map(whole) or ()) == 64


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        section(0, b"\x00\x01\xf0\x00")[1:-1] + b"?",
        section(0, b"\x00\x01\xf0\x00", current=False)[1:],
        section(0, b"\x00\x00\xe0\x10")[1:],
        section(0, b"")[1:],
        section(2, b"")[1:],
    ],
)
def test_broken_tables_are_passed_over(wrong):
    assert read_association(wrong) is None
    assert read_map(wrong) is None


def test_packets_without_payload_or_with_damage_are_passed_over():
    assert read_packet(transport(1, b"x", damaged=True), 0) is None
    assert read_packet(b"\x47\x00\x01\x20" + b"\xb7" + bytes(183), 0) is None
    packet = read_packet(b"\x47\x00\x01\x30\xff" + bytes(183), 0)
    assert packet is not None
    assert packet.payload == b""
    empty = read_packet(b"\x47\x00\x01\x30\x00" + bytes(183), 0)
    assert empty is not None
    assert len(empty.payload) == 183


IDR = b"\x00\x00\x01\x65\x88\x84"
SETS = b"".join(b"\x00\x00\x01" + unit for unit in (
    avc_track().config[8:8 + int.from_bytes(avc_track().config[6:8], "big")],
    b"\x68\xce\x38\x80",
))  # fmt: skip
TABLES = program((0x1B, 0x100, b""))


def stream(*packets: bytes) -> list[Packet]:
    return read_all(TsDemuxer(), TABLES + b"".join(packets))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00\x00\x02\xe0\x00\x00\x80\x80\x05" + bytes(9),
        b"\x00\x00\x01",
        b"\x00\x00\x01\xbe\x00\x00\xff\xff\xff\xff",
        pes(IDR, 0)[:8] + b"\xff" + pes(IDR, 0)[9:],
        pes(IDR, 0, length=2),
        pes(b"", 0, length=8),
    ],
)
def test_what_is_no_pes_packet_is_passed_over(payload):
    good = transport(0x100, pes(SETS + IDR, 90_000), starts=True, count=1, key=True)
    bad = transport(0x100, payload, starts=True, count=0)
    more = transport(0x100, b"more", count=1)
    assert len(frames(stream(bad, good))) == 1
    assert frames(stream(bad, more)) == []


def test_a_frame_without_a_time_follows_the_one_before():
    found = frames(stream(
        transport(0x100, pes(SETS + IDR, 90_000), starts=True, count=0),
        transport(0x100, pes(IDR, 93_600), starts=True, count=1),
        transport(0x100, pes(IDR), starts=True, count=2),
        transport(0x100, pes(IDR, 100_800, 97_200), starts=True, count=3),
        transport(0x100, pes(b"", 104_400, length=8), starts=True, count=4),
    ))  # fmt: skip
    assert [p.dts for p in found] == [SECOND, 1_040_000, 1_080_000, 1_080_000]
    assert found[-1].pts == 1_120_000


def test_a_huge_pes_packet_is_passed_over_and_not_kept(monkeypatch):
    monkeypatch.setattr(demux_module, "MAX_PES", 100_000)
    huge = [transport(0x100, pes(SETS + IDR, 0, length=0), starts=True, count=0)]
    huge += [transport(0x100, bytes(184), count=n) for n in range(1, 700)]
    last = transport(0x100, pes(SETS + IDR, 90_000), starts=True, count=700)
    (found,) = frames(stream(*huge, last))
    assert found.dts == SECOND


def test_a_bounded_pes_packet_that_was_cut_is_no_frame():
    head = transport(0x100, pes(SETS + IDR, 0, length=500), starts=True, count=0)
    assert frames(stream(head)) == []
    good = transport(0x100, pes(SETS + IDR, 0), starts=True, count=5)
    assert len(frames(stream(head, good))) == 1
    # one without a bound may have lost its end: its successor does not follow it
    open_ = transport(0x100, pes(SETS + IDR, 0, length=0), starts=True, count=0)
    assert len(frames(stream(open_, good))) == 1
    told = transport(0x100, pes(SETS + IDR, 0), starts=True, count=5, broken=True)
    assert len(frames(stream(open_, told))) == 2
    assert frames(stream(head, transport(0x100, b"x", count=9))) == []


def test_nothing_comes_before_parameter_sets_and_wrong_ones_are_not_believed():
    unreadable = b"\x00\x00\x01\x67\x42"
    many = b"".join(b"\x00\x00\x01\x68" + bytes((1, n + 1, 0x80)) for n in range(40))
    long_ = b"\x00\x00\x01\x68" + b"\x55" * 60_000
    for sets in (b"", unreadable, b"\x00\x00\x01\x68\xce"):
        assert stream(transport(0x100, pes(sets + IDR, 0), starts=True)) == []

    def units(data: bytes) -> bytes:
        whole = pes(data, 90_000, length=0)
        pieces = [whole[pos : pos + 184] for pos in range(0, len(whole), 184)]
        return b"".join(
            transport(0x100, piece, starts=not n, count=n + 1) for n, piece in enumerate(pieces)
        )

    first = transport(0x100, pes(SETS + IDR, 0), starts=True, count=0)
    for wrong in (many, long_):
        found = stream(first, units(wrong + IDR))
        assert len([p for p in found if p.config]) == 1
        assert len(frames(found)) == 2
    # one more PPS is learnt, the same once more is not
    found = stream(first, units(b"\x00\x00\x01\x68\xee\x38\x80" + IDR))
    assert len([p for p in found if p.config]) == 2
    assert len([p for p in stream(first, units(SETS + IDR)) if p.config]) == 1


def test_a_stream_that_is_known_is_not_announced_again():
    demuxer = TsDemuxer()
    read_all(demuxer, GOOD)
    again = TsDemuxer(streams=demuxer.streams, tracks=demuxer.tracks)
    found = read_all(again, GOOD[2 * SIZE :])
    assert not [p for p in found if p.config]
    assert contents(found) == [p.data for p in VIDEO]
    hevc = track_from_record(Codec.HEVC, HEVC)
    sets = HevcConfig.parse(HEVC)
    frame = b"\x00\x00\x00\x05\x26\x01\xaf\x00\x11"
    packet = Packet(hevc, 0, 0, frame, key=True)
    data = ts_file([Packet(hevc, 0, 0, HEVC, config=True), packet])
    first = TsDemuxer()
    found = read_all(first, data)
    assert HevcConfig.parse(found[0].data).sps_list == sets.sps_list
    (again,) = read_all(TsDemuxer(streams=first.streams, tracks=first.tracks), data)
    assert (again.data, again.key) == (frame, True)
    other = [Track(Kind.VIDEO, Codec.HEVC), Track(Kind.AUDIO, Codec.MP3)]
    wrong = TsDemuxer(streams=demuxer.streams, tracks=other)
    assert len([p for p in read_all(wrong, GOOD) if p.config]) == 2


def adts(data: bytes, **changes: int) -> bytes:
    size = changes.get("size", len(data) + 7)
    fields = [0xFF, 0xF1, 0x4C, 0x80 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC]
    for index, value in changes.items():
        if index.startswith("at"):
            fields[int(index[2:])] = value
    return bytes(fields) + data


SOUND = program((0x0F, 0x101, b""))
FRAME = aac_frame()


def sounds(*bodies: bytes, times=(0, 90_000, 180_000)) -> list[Packet]:
    packets = []
    for number, (body, time) in enumerate(zip(bodies, times, strict=False)):
        packets.append(transport(0x101, pes(body, time), starts=True, count=number))
    return frames(read_all(TsDemuxer(), SOUND + b"".join(packets)), Kind.AUDIO)


def test_frames_of_sound_may_end_in_the_next_pes_packet():
    frame = adts(FRAME)
    found = sounds(frame + frame[:4], frame[4:] + frame, frame)
    assert [p.data for p in found] == [FRAME] * 4
    assert [p.dts for p in found] == [0, 21_333, SECOND, 2 * SECOND]
    found = sounds(frame[:9], frame[9:], frame)  # one that begins in the first, ends in the second
    assert [p.dts for p in found] == [0, 2 * SECOND]


def test_nonsense_between_frames_of_sound_is_passed_over():
    frame = adts(FRAME)
    looks_so = adts(FRAME)[:7] + b"\x00" * 30
    assert len(sounds(b"junk" + frame + frame)) == 2
    assert len(sounds(b"j" + looks_so + frame + frame)) == 2
    for wrong in ({"at2": 0x7C}, {"at3": 0x00, "at2": 0x4C}, {"at6": 0xFD}, {"size": 3}):
        assert sounds(adts(FRAME, **wrong)) == []
    assert len(sounds(adts(FRAME, at2=0x4D, at3=0xC0))) == 1  # 7.1
    assert len(sounds(adts(bytes(2) + FRAME, at1=0xF0))) == 1  # with a checksum


def test_other_sound_is_announced():
    other = adts(FRAME, at2=0x50)  # 44.1 kHz
    packets = read_all(TsDemuxer(), SOUND + b"".join(
        transport(0x101, pes(body, 90_000 * n), starts=True, count=n)
        for n, body in enumerate((adts(FRAME), other + other, adts(FRAME)))
    ))  # fmt: skip
    rates = [p.track.sample_rate for p in packets if p.config]
    assert rates == [48_000, 44_100, 48_000]


@pytest.mark.parametrize(
    "header",
    [
        "ffe19000ffffffff",  # layer II of MPEG-2.5 in free format
        "ffff0000ffffffff",
        "fffdf000ffffffff",
        "fff1f000ffffffff",
        "00000000ffffffff",
    ],
)
def test_mpeg_audio_without_a_size_is_no_frame(header):
    assert HEADS[Codec.MP3](bytes.fromhex(header)) is None


def test_headers_of_all_kinds_tell_sizes():
    read, dolby = HEADS[Codec.MP3], HEADS[Codec.AC3]
    layer1 = read(bytes.fromhex("ffff1400") + bytes(4))
    assert layer1 is not None
    assert (layer1.size, layer1.samples) == (32, 384)
    for header in ("0b77000026400000", "0b770000ff400000"):
        assert dolby(bytes.fromhex(header)) is None
    two_blocks = dolby(bytes.fromhex("0b77007f14800000"))
    assert two_blocks is not None
    assert (two_blocks.size, two_blocks.samples) == (256, 512)
    half_rate = dolby(bytes.fromhex("0b77007fc4800000"))
    assert half_rate is not None
    assert (half_rate.samples, half_rate.rate) == (1_536, 24_000)


@pytest.mark.parametrize("codec", list(HEADS))
def test_nonsense_made_of_marks_is_not_looked_at_byte_by_byte(codec):
    mark = b"\x0b\x77" if codec in (Codec.AC3, Codec.EAC3) else b"\xff\xf1"
    sounds = Sounds(codec, None)
    looks = 0
    read = sounds._read

    def counted(data: bytes):
        nonlocal looks
        looks += 1
        return read(data)

    sounds._read = counted
    for _ in range(100):
        assert sounds.take((mark + b"\xff" * 6) * 8_000, 0, 0, key=False) == []
    assert looks < 2_500  # two bytes' nonsense is looked at as long as frames come, no longer
    looks = 0
    assert sounds.take(bytes(1 << 20), 0, 0, key=False) == []
    assert looks < 10


def test_behind_nonsense_sound_comes_again():
    sounds = Sounds(Codec.AAC, None)
    frame = adts(aac_frame())
    for _ in range(3):
        sounds.take(b"\xff\xf1" * 10_000, 0, 0, key=False)
    for number in range(4):
        found = sounds.take(frame * 3, number * 64_000, number * 64_000, key=False)
    assert [p.data for p in found] == [aac_frame()] * 3
    assert [p.dts for p in found] == [192_000, 213_333, 234_666]


def test_a_mark_that_is_cut_in_two_is_found():
    sounds = Sounds(Codec.AAC, None)
    frame = adts(aac_frame())
    sounds.take(bytes(50) + frame[:1], 0, 0, key=False)
    found = sounds.take(frame[1:] + frame, 0, 0, key=False)
    assert [p.data for p in found if not p.config] == [aac_frame()] * 2


def test_a_huge_pes_packet_of_sound_is_passed_over():
    frame = adts(aac_frame())
    body = pes(frame * (3_000_000 // len(frame)), 90_000, length=0)
    pieces = [body[pos : pos + 184] for pos in range(0, len(body), 184)]
    packets = [transport(0x101, p, starts=not n, count=n) for n, p in enumerate(pieces)]
    last = transport(0x101, pes(frame, 180_000), starts=True, count=len(packets))
    found = frames(read_all(TsDemuxer(), SOUND + b"".join([*packets, last])), Kind.AUDIO)
    assert [p.dts for p in found] == [2 * SECOND]


def test_what_comes_before_time_zero_is_left_out_and_configurations_are_not():
    demuxer = TsDemuxer(base=(90_000 * 2, 0))
    found = read_all(demuxer, GOOD)
    assert {p.track.kind for p in found if p.config} == {Kind.VIDEO, Kind.AUDIO}
    assert min(min(p.dts, p.pts) for p in found) == 0
    assert contents(found) == [p.data for p in VIDEO if p.dts >= SECOND]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=60
    ),
    st.integers(1, 5_000),
)
@example([(1226, 8)], 1)
def test_whatever_is_changed_nothing_but_frames_comes_out(changes, size):
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value
    for packet in read_all(TsDemuxer(), bytes(data), size):
        assert packet.config or packet.data
        assert packet.dts >= 0
        assert packet.pts >= 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2_000))
def test_anything_may_stand_in_a_pes_packet(data):
    whole = pes(SETS + data, 90_000, length=0)
    pieces = [whole[pos : pos + 184] for pos in range(0, len(whole), 184)]
    packets = [transport(0x100, p, starts=not n, count=n) for n, p in enumerate(pieces)]
    found = stream(*packets)
    assert len(frames(found)) <= 1
