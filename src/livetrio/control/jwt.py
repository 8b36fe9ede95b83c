"""JSON Web Tokens on the operator's port: RFC 7519 with HMAC, livego's rules and livego's words."""

from __future__ import annotations

from collections.abc import Mapping

import jwt

from livetrio.config import JwtConfig

__all__ = ["TokenError", "check_token", "find_token"]

_HMAC_BLOCK = {"HS256": 64, "HS384": 128, "HS512": 128}
_MAX_ALGORITHM = 32
"""Characters of a token's own algorithm name that are repeated to its sender."""


class TokenError(Exception):
    """No token, or one that proves nothing; the message is livego's."""


def find_token(authorization: str, query: Mapping[str, str]) -> str:
    """The token of a request: `Authorization: Bearer` first, then `?jwt=`.

    Raises:
        TokenError: there is none, or the header says something else.
    """
    if authorization:
        parts = authorization.split()
        if len(parts) != 2 or parts[0].lower() != "bearer":
            raise TokenError("Authorization header format must be Bearer {token}")
        return parts[1]
    if token := query.get("jwt", ""):
        return token
    raise TokenError("Required authorization token not found")


def check_token(token: str, config: JwtConfig) -> None:
    """Verify signature and times (exp, nbf, iat); the audience is nobody's business in livego.

    The algorithm is the configured one and never the token's choice, so neither "none" nor a
    public key taken for an HMAC secret gets anywhere.

    Raises:
        TokenError: it is not valid.
    """
    algorithm = config.algorithm if config.algorithm in _HMAC_BLOCK else "HS256"
    if token.count(".") != 2:
        raise TokenError("token contains an invalid number of segments")
    # HMAC pads a short key with zeros itself (RFC 2104 2), so this is the same key; as it is,
    # PyJWT would warn about its length at every request.
    key = config.secret.encode().ljust(_HMAC_BLOCK[algorithm], b"\0")
    try:
        told = jwt.get_unverified_header(token).get("alg")
        if told != algorithm:
            told = str(told)[:_MAX_ALGORITHM]
            raise TokenError(f"Expected {algorithm} signing method but token specified {told}")
        options: jwt.types.Options = {"verify_aud": False, "verify_sub": False, "verify_jti": False}
        jwt.decode(token, key, algorithms=[algorithm], options=options)
    except jwt.InvalidSignatureError:
        raise TokenError("signature is invalid") from None
    except jwt.ExpiredSignatureError:
        raise TokenError("Token is expired") from None
    except jwt.ImmatureSignatureError as error:
        early = "Token used before issued" if "iat" in str(error) else "Token is not valid yet"
        raise TokenError(early) from None
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
        # PyJWT lets through what int() and json say of infinite times and 10,000 brackets.
        raise TokenError("The token isn't valid") from None
