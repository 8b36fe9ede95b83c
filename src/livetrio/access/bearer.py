"""The gate as WHIP and WHEP ask it: the stream key comes as a bearer token, or as the name.

OBS has two fields, server and bearer token; the token is where its users put the room's key. So
`/live/{room}/whip` with the key as token and `/live/{key}/whip` without one mean the same stream.
"""

from __future__ import annotations

from collections.abc import Mapping

from livetrio.access.gate import Gate, PublishGrant
from livetrio.config import AppConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.wire.names import check_name

__all__ = ["BearerGate"]


class BearerGate:
    """A view of the one Gate, so that wrong keys are counted together, whatever way they came."""

    def __init__(self, gate: Gate, apps: Mapping[str, AppConfig]) -> None:
        self._gate = gate
        self._apps = apps

    async def may_publish(
        self, app: str, name: str, token: str, query: Mapping[str, str], peer: str
    ) -> PublishGrant:
        """Decide on publishing `app/name` with a token ("" if none was given).

        A token that is the key of the room `name` proves that room; on a seat of a co-host room it
        is its user's, or the seat's key. Under `auth: none` any other
        token is nobody's business: OBS keeps sending the one of another server.

        Raises:
            Refused: as `Gate.may_publish`, but UNAUTHORIZED for a key that is wrong or missing,
                so that clients ask their user for one; FORBIDDEN for another room's key.
        """
        if self._gate.place(app, name) is not None:
            shown = {**query, "token": token} if token else query
            return await self._gate.may_publish(app, name, shown, peer)
        if not token or token == name:
            return await self._ask(app, name, query, peer)
        if not _can_be_key(token):
            if self._gate.takes_any_name(app):
                return await self._ask(app, name, query, peer)
            raise Refused(RefusalCode.UNAUTHORIZED, "unknown stream key", hint="no key looks so")
        grant = await self._ask(app, token, query, peer)
        if grant.key.name == name:
            return grant
        if self._gate.takes_any_name(app) and grant.key.name == token:  # nobody's key
            return await self._ask(app, name, query, peer)
        raise Refused(
            RefusalCode.FORBIDDEN,
            "the token is the key of another room",
            hint=f"POST to /{app}/ROOM/whip with the key that /control/get?room=ROOM gives",
        )

    async def may_play(self, app: str, name: str, query: Mapping[str, str], peer: str) -> StreamKey:
        """As `Gate.may_play`."""
        return await self._gate.may_play(app, name, query, peer)

    async def _ask(self, app: str, name: str, query: Mapping[str, str], peer: str) -> PublishGrant:
        try:
            return await self._gate.may_publish(app, name, query, peer)
        except Refused as refusal:
            known = self._apps.get(app)
            if refusal.code is RefusalCode.FORBIDDEN and known is not None and known.live:
                # The application is there and live: it was the key.
                reason, hint = refusal.reason, refusal.hint
                raise Refused(RefusalCode.UNAUTHORIZED, reason, hint=hint) from None
            raise


def _can_be_key(token: str) -> bool:
    """Could the gate be asked with it at all?"""
    try:
        check_name(token)
    except Refused:
        return False
    return True
