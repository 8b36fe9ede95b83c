"""The host: open files, the clock, and what its kernel can send at once."""

from __future__ import annotations

import ctypes
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

from livetrio.config import Config
from livetrio.doctor.finding import Finding

__all__ = ["check_clock", "check_files", "check_udp_sends"]

_SPARE_FILES = 256
"""Beside connections: listeners, database, logs, recordings."""
_TIME_ERROR = 5
_TIMEX_SIZE = 512
"""Bytes, more than struct timex has anywhere; zeroes mean "only tell me"."""
_SOL_UDP, _UDP_SEGMENT = 17, 103
"""linux/udp.h; Python's socket module does not have them."""
_RMEM = Path("/proc/sys/net/core/rmem_max")
_WANTED_RMEM = 2 << 20


def check_files(config: Config) -> Iterator[Finding]:
    """May so many connections be open as are configured?"""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Every publisher and viewer of every TCP listener; WebRTC's peers share one socket.
    wanted = config.connection.max_connections + _SPARE_FILES
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        yield Finding("ok", "open files", f"up to {hard:,} may be open")
        return
    yield Finding(
        "warning",
        "open files",
        f"only {hard:,} may be open, and max_connections is {config.connection.max_connections:,}",
        f"raise the hard limit to {wanted:,} (LimitNOFILE= in a systemd unit, nofile in "
        "/etc/security/limits.conf), or lower max_connections",
    )


def check_clock() -> Iterator[Finding]:
    """Is the clock kept by NTP? Tokens and TURN credentials carry times."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE))
    except (OSError, AttributeError):
        state = -1
    if state == _TIME_ERROR:
        yield Finding(
            "warning",
            "clock",
            "the kernel says that nothing keeps it: TURN credentials and tokens carry times",
            "run systemd-timesyncd, chrony or ntpd (timedatectl set-ntp true)",
        )
    elif state < 0:
        yield Finding("ok", "clock", "cannot be asked here whether NTP keeps it")
    else:
        yield Finding("ok", "clock", "kept by NTP")


def check_udp_sends() -> Iterator[Finding]:
    """Can the kernel cut one buffer into many datagrams, and hold what arrives in a burst?"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(_SOL_UDP, _UDP_SEGMENT, 1200)
        except OSError:
            yield Finding(
                "warning",
                "UDP GSO",
                "this kernel does not segment UDP: each WebRTC viewer costs twice the CPU",
                "use Linux 4.18 or later; some containers' sandboxes lack it",
            )
        else:
            yield Finding("ok", "UDP GSO", "the kernel segments UDP")
    try:
        most = int(_RMEM.read_text("ascii"))
    except (OSError, ValueError):
        return
    if most < _WANTED_RMEM:
        yield Finding(
            "warning",
            "UDP buffers",
            f"net.core.rmem_max is {most:,} bytes: bursts of many publishers overflow it",
            f"sysctl -w net.core.rmem_max={_WANTED_RMEM}, and in /etc/sysctl.d/ to keep it",
        )
