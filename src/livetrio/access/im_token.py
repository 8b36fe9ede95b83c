"""Tokens of messaging: who a client is and what it may join, signed by the site it comes from.

The algorithm is never the token's own choice: secrets verify HMAC only, public keys their own
family only, so neither "none" nor a public key taken for a secret gets anywhere (RFC 8725 2.1).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
import trio

from livetrio.config import ImTokenConfig
from livetrio.errors import ConfigError, RefusalCode, Refused

__all__ = ["Claims", "Fetch", "ImTokens", "TokenExpired"]

Fetch = Callable[[str], Awaitable[bytes]]
"""The body of a URL, bounded in size and time; raises OSError or a LivetrioError."""

_HMAC: Final = ("HS256", "HS384", "HS512")
_PUBLIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_PUBLIC_ALL: Final = (*_PUBLIC, "EdDSA")
_MAX_TOKEN: Final = 16 << 10
_MAX_KEYS: Final = 100
_KEEP: Final = 300.0
"""Seconds that fetched keys serve."""
_RETRY: Final = 10.0
"""Seconds between two fetches, whatever tokens say of unknown keys."""
_LEEWAY: Final = 5
_MAX_LIST: Final = 1000


class TokenExpired(Refused):
    """Signed by the right key, and too old: the client may ask its site for a new one."""

    def __init__(self) -> None:
        super().__init__(RefusalCode.UNAUTHORIZED, "token expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a valid token says; Centrifugo's names."""

    sub: str = ""
    """The user; "" is anonymous."""
    exp: float = math.inf
    """Unix time, seconds, at which it ends."""
    info: bytes = b""
    """JSON shown to others (`info`, or `b64info` decoded)."""
    channels: tuple[str, ...] = ()
    """Server-side subscriptions (`channels`, and the keys of `subs`)."""
    roles: frozenset[str] = frozenset()
    device: str = ""
    channel: str = ""
    """Of a subscription token: what it lets join."""
    client: str = ""
    """Of a subscription token: for this connection only."""
    every: Mapping[str, Any] = field(default_factory=dict)
    """All claims as they were."""


class ImTokens:
    """Verifies tokens against the keys of a configuration."""

    def __init__(self, config: ImTokenConfig, fetch: Fetch | None = None) -> None:
        """fetch: for `jwks_url`.

        Raises:
            ConfigError: the public key cannot be read, or an algorithm is none of ours.
        """
        self._config = config
        self._fetch = fetch
        self._public = _read_key(config) if config.public_key is not None else None
        known = (*_HMAC, *_PUBLIC_ALL)
        if strange := [name for name in config.algorithms if name not in known]:
            raise ConfigError(f"im.token.algorithms: {strange[0]} is none of {', '.join(known)}")
        self._allowed = frozenset(config.algorithms or known)
        self._fetched: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -math.inf
        self._fetching = trio.Lock()

    @property
    def enabled(self) -> bool:
        """Is there any key at all?"""
        config = self._config
        return bool(config.secret or self._public or (config.jwks_url and self._fetch))

    async def verify(self, token: str) -> Claims:
        """What a token says.

        Raises:
            TokenExpired: that is all that is wrong with it.
            Refused: UNAUTHORIZED, not valid; UNAVAILABLE, the keys cannot be fetched.
        """
        try:
            if len(token) > _MAX_TOKEN:
                raise jwt.InvalidTokenError("too long")
            header = jwt.get_unverified_header(token)
            key, algorithm = await self._key(header)
            config = self._config
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=config.audience or None,
                issuer=config.issuer or None,
                leeway=_LEEWAY,
                options={"verify_aud": bool(config.audience), "verify_sub": False},
            )
            return _claims(claims)
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # PyJWT lets through what int() and json say of infinite times and 10,000 brackets.
            raise Refused(
                RefusalCode.UNAUTHORIZED, "the token is not valid", hint=str(error)[:200]
            ) from None

    async def _key(self, header: Mapping[str, Any]) -> tuple[Any, str]:
        """The key for a token, and the one algorithm it may be used with."""
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._allowed:
            raise jwt.InvalidAlgorithmError("algorithm not allowed")
        if algorithm in _HMAC:
            if not self._config.secret:
                raise jwt.InvalidAlgorithmError("no secret is configured")
            # HMAC pads a short key with zeros itself, up to its hash's block (RFC 2104 2); PyJWT
            # would warn about it. Not beyond: a key longer than the block is hashed first.
            block = 64 if algorithm == "HS256" else 128
            return self._config.secret.encode().ljust(block, b"\0"), algorithm
        if self._public is not None:
            return self._public, algorithm
        found = await self._published(header.get("kid"))
        if found.algorithm_name != algorithm:
            raise jwt.InvalidAlgorithmError("the key is for another algorithm")
        return found.key, algorithm

    async def _published(self, kid: object) -> jwt.PyJWK:
        """The published key of this id (RFC 7517); fetched anew when it is not known."""
        if self._fetch is None or not self._config.jwks_url:
            raise jwt.InvalidAlgorithmError("no public key is configured")
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("no kid")
        if not self._serves(kid):
            async with self._fetching:
                if not self._serves(kid):
                    await self._refresh(self._fetch)
        if kid not in self._fetched:
            raise jwt.InvalidTokenError("unknown kid")
        return self._fetched[kid]

    def _serves(self, kid: str) -> bool:
        """Are the keys that we have good enough to answer for this id?"""
        age = trio.current_time() - self._fetched_at
        return age < (_KEEP if kid in self._fetched else _RETRY)

    async def _refresh(self, fetch: Fetch) -> None:
        self._fetched_at = trio.current_time()
        try:
            body = json.loads(await fetch(self._config.jwks_url))
            entries = body["keys"][:_MAX_KEYS]
        except (OSError, ValueError, KeyError, TypeError, RecursionError, Refused) as error:
            if self._fetched:
                return  # the old ones serve on
            raise Refused(
                RefusalCode.UNAVAILABLE, "tokens cannot be checked now", hint=str(error)
            ) from None
        self._fetched = _public_keys(entries)


def _public_keys(entries: Sequence[Any]) -> dict[str, jwt.PyJWK]:
    found: dict[str, jwt.PyJWK] = {}
    for entry in entries:
        # Symmetric keys have no business in a public set.
        if not isinstance(entry, dict) or entry.get("kty") not in {"RSA", "EC", "OKP"}:
            continue
        try:
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if isinstance(kid := entry.get("kid"), str) and key.algorithm_name in _PUBLIC_ALL:
            found[kid] = key
    return found


def _read_key(config: ImTokenConfig) -> str:
    assert config.public_key is not None
    try:
        text = config.public_key.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"im.token.public_key: {error}") from error
    if "-----BEGIN" not in text or "PRIVATE" in text:
        raise ConfigError(f"im.token.public_key: {config.public_key} is no public key in PEM")
    return text


def _claims(claims: Mapping[str, Any]) -> Claims:
    """The claims we know, in their types; ValueError or TypeError for nonsense."""
    subs = claims.get("subs") or {}
    if not isinstance(subs, Mapping):
        raise TypeError("subs is no object")
    return Claims(
        sub=_text(claims.get("sub")),
        exp=float(claims["exp"]) if claims.get("exp") is not None else math.inf,
        info=_info(claims),
        channels=tuple(dict.fromkeys([*_texts(claims.get("channels")), *_texts(list(subs))])),
        roles=frozenset(_texts(claims.get("roles"))),
        device=_text(claims.get("device")),
        channel=_text(claims.get("channel")),
        client=_text(claims.get("client")),
        every=claims,
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):  # goim's mid is a number
        return str(value)
    if not isinstance(value, str) or len(value) > 255:
        raise TypeError("not a short text")
    return value


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _MAX_LIST:
        raise TypeError("not a list of texts")
    return [_text(item) for item in value]


def _info(claims: Mapping[str, Any]) -> bytes:
    if (coded := claims.get("b64info")) is not None:
        try:
            return base64.b64decode(coded, validate=True)
        except binascii.Error as error:
            raise ValueError("b64info") from error
    if claims.get("info") is None:
        return b""
    return json.dumps(claims["info"], ensure_ascii=False, separators=(",", ":")).encode()
