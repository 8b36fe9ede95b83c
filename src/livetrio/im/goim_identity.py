"""Who a goim client is: goim itself believes the `mid`; here that has to be asked for.

A token (the login's `token`, Bilibili's `key`) decides where tokens are configured, and a `mid`
that is told as well must be its user. Without one, `im.goim_trust_mid` believes the `mid`;
otherwise the connect hook is asked, or the client is nobody where that is allowed.
"""

from __future__ import annotations

from livetrio.errors import RefusalCode, Refused
from livetrio.im.identity import Identities, Identity
from livetrio.wire.goim.login import Dialect, Login

__all__ = ["GoimIdentities"]


class GoimIdentities:
    """Asked once per connection, between AUTH and its reply."""

    def __init__(self, identities: Identities, *, trust_mid: bool = False) -> None:
        self._identities = identities
        self._trust_mid = trust_mid

    async def __call__(self, login: Login, client: str, ip: str) -> Identity:
        """Who this login is.

        Raises:
            Refused: UNAUTHORIZED or FORBIDDEN; UNAVAILABLE, it cannot be found out now.
        """
        # Many Bilibili clients send some key of their own making: without tokens it is nothing.
        token = login.token if self._identities.tokens.enabled else ""
        if login.token and not token and not self._trust_mid and login.dialect is Dialect.GOIM:
            raise Refused(
                RefusalCode.UNAUTHORIZED, "tokens are not checked here", hint="set im.token"
            )
        if self._trust_mid and not token:
            return Identity(user=str(login.mid) if login.mid else "", device=login.key)
        identity = await self._identities.identify(
            token,
            client=client,
            ip=ip,
            protocol=login.dialect.value,
            data={"mid": login.mid, "room_id": login.room, "platform": login.platform},
            device=login.key,
        )
        if token and login.mid and identity.user != str(login.mid):
            raise Refused(RefusalCode.FORBIDDEN, "the token is another user's")
        return identity
