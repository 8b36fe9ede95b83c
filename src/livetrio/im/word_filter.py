"""Word filter: finds the words of a list in what is said, all at once (Aho-Corasick).

Texts are folded first: compatibility forms (full width, ligatures), case, invisible characters
and combining marks go; spaces and punctuation go next to letters of scripts written without
spaces, where they are put to get past filters. Words of ASCII letters and digits are found as
whole words only (nobody in Scunthorpe is to be silenced), others anywhere.
"""

from __future__ import annotations

import enum
import json
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import ahocorasick
import trio

from livetrio.errors import RefusalCode, Refused

__all__ = ["Action", "Finding", "WordFilter"]

_MAX_WORDS: Final = 100_000
_MAX_WORD: Final = 128
_MASK: Final = "*"


class Action(enum.IntEnum):
    """What becomes of a message with the word; of several the strongest holds."""

    PASS = 0
    MASK = 1
    """Stars in its place."""
    SHADOW = 2
    """Its sender sees it, and nobody else."""
    BLOCK = 3
    """Refused."""


class Finding(NamedTuple):
    """What the filter makes of a message."""

    action: Action
    data: bytes
    """With the masked words masked."""


class WordFilter:
    """The list is replaced as a whole; messages see the old one or the new."""

    def __init__(self) -> None:
        self._words: dict[str, Action] = {}
        self._automaton: ahocorasick.Automaton | None = None

    @property
    def words(self) -> Mapping[str, Action]:
        """The list as it was given."""
        return self._words

    async def load(self, words: Mapping[str, Action]) -> None:
        """Replace the list; built in a thread, for a long one takes a while.

        Raises:
            Refused: BAD_REQUEST: too many, too long, or nothing left of a word when folded.
        """
        given = dict(words)
        automaton = await trio.to_thread.run_sync(_build, given)
        self._words, self._automaton = given, automaton

    def look(self, data: bytes) -> Finding:
        """Look at all texts in a message: the string values of JSON, or the whole as UTF-8.

        Raises:
            Refused: BAD_REQUEST, JSON nested too deeply.
        """
        if self._automaton is None:
            return Finding(Action.PASS, data)
        value: Any
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            action, text = self._look(data.decode(errors="replace"))
            return Finding(action, text.encode() if action is Action.MASK else data)
        try:
            action, value = self._walk(value)
            if action is not Action.MASK:
                return Finding(action, data)
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            raise Refused(RefusalCode.BAD_REQUEST, "it is nested too deeply") from None
        return Finding(action, text.encode(errors="replace"))

    def _walk(self, value: Any) -> tuple[Action, Any]:
        """The strongest action in a JSON value, and the value masked. As deep as json went."""
        if isinstance(value, str):
            return self._look(value)
        if isinstance(value, list):
            found = [self._walk(item) for item in value]
            return max((a for a, _ in found), default=Action.PASS), [v for _, v in found]
        if isinstance(value, dict):
            pairs = {key: self._walk(item) for key, item in value.items()}
            strongest = max((a for a, _ in pairs.values()), default=Action.PASS)
            return strongest, {key: v for key, (_, v) in pairs.items()}
        return Action.PASS, value

    def _look(self, text: str) -> tuple[Action, str]:
        assert self._automaton is not None
        folded, places = _fold(text)
        strongest = Action.PASS
        masked: list[str] | None = None
        for end, (length, whole, action) in self._automaton.iter(folded):
            start = end - length + 1
            if whole and not _stands_alone(folded, start, end):
                continue
            strongest = max(strongest, action)
            if action is Action.MASK:
                masked = masked or list(text)
                first, last = places[start], places[end]
                masked[first : last + 1] = [_MASK] * (last + 1 - first)
        return strongest, "".join(masked) if masked is not None else text


def _build(words: Mapping[str, Action]) -> ahocorasick.Automaton | None:
    if len(words) > _MAX_WORDS:
        raise Refused(RefusalCode.BAD_REQUEST, f"at most {_MAX_WORDS} words")
    automaton = ahocorasick.Automaton()
    for word, action in words.items():
        folded = _fold(word)[0].strip()
        if not folded or len(word) > _MAX_WORD:
            raise Refused(RefusalCode.BAD_REQUEST, f"not a word that can be found: {word[:40]!r}")
        other = automaton.get(folded, None)
        if other is not None and other[2] > action:
            continue
        whole = folded.isascii() and folded.replace(" ", "").isalnum()
        automaton.add_word(folded, (len(folded), whole, action))
    if not words:
        return None
    automaton.make_automaton()
    return automaton


def _stands_alone(text: str, start: int, end: int) -> bool:
    before = start > 0 and _is_word(text[start - 1])
    after = end + 1 < len(text) and _is_word(text[end + 1])
    return not before and not after


def _is_word(char: str) -> bool:
    """Of a word in the sense of Latin script: next to a Chinese character a word stands alone."""
    return char.isascii() and char.isalnum()


def _fold(text: str) -> tuple[str, list[int]]:
    """The text as it is searched, and for each of its characters where in `text` it was."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    folded: list[str] = []
    places: list[int] = []
    for index, char in enumerate(text):
        for part in _folded(char):
            if not part.isalnum() and folded and not folded[-1].isascii():
                continue
            folded.append(part)
            places.append(index)
    return "".join(folded), places


@lru_cache(maxsize=8192)
def _folded(char: str) -> str:
    """One character folded; "" for invisible ones and combining marks."""
    parts = unicodedata.normalize("NFKD", char).casefold()
    return "".join(p for p in parts if unicodedata.category(p) not in {"Cf", "Mn", "Me", "Cc"})
