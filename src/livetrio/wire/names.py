"""The one rule for the names peers give to applications and streams, in every protocol."""

from __future__ import annotations

from typing import Final

from livetrio.errors import RefusalCode, Refused

__all__ = ["MAX_NAME_BYTES", "check_name"]

MAX_NAME_BYTES: Final = 256
"""Longest name in UTF-8 bytes: a file name of most file systems, and what nginx-rtmp allows."""

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def check_name(text: str) -> str:
    """Return `text` unchanged if it can safely name an application or a stream.

    A name becomes a dictionary key, a path of a URL, part of a file name, a metrics label and a
    line of a log, so what would mean something there is refused here, once. Any other Unicode is
    welcome; nothing is normalised, trimmed or folded, because two spellings that differ must
    stay two streams.

    Args:
        text: the name after percent-decoding, with "/" between segments.

    Raises:
        Refused: BAD_REQUEST; the reason says which rule was broken and never repeats the name
            (publishing names are secrets).
    """
    fault = _fault(text)
    if fault:
        raise Refused(RefusalCode.BAD_REQUEST, f"name {fault}")
    return text


def _fault(text: str) -> str:
    if not text:
        return "is empty"
    # A character is at least a byte: the cheap test first, 64 KiB need not be encoded to refuse.
    if len(text) > MAX_NAME_BYTES or len(text.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    # The replacement character is what decoding made of invalid UTF-8: two different names
    # would have become the same one.
    if _REPLACEMENT in text or any("\ud800" <= char <= "\udfff" for char in text):
        return "is not valid UTF-8"
    # isprintable() refuses all of Unicode's "Other" and "Separator" categories but the space:
    # NUL, CR LF, escape sequences, bidirectional overrides, line separators, no-break spaces.
    if not text.isprintable():
        return "has control or invisible characters"
    if "\\" in text:
        return "has a backslash"
    if text != text.strip():
        return "begins or ends with a space"
    for segment in text.split("/"):
        if not segment:
            return "has an empty path segment"
        if segment in {".", ".."}:
            return 'has a "." or ".." path segment'
    return ""
