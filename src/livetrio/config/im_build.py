"""From values to `ImConfig`; apart from `build` for the number of its keys."""

from __future__ import annotations

from typing import Final, Protocol, TypeVar

from livetrio.config.im import ImConfig, ImTokenConfig
from livetrio.config.schema import Notice
from livetrio.config.settings import Keys, Setting

__all__ = ["im_config"]

T = TypeVar("T")

_STAFF: Final = frozenset({"admin", "moderator", "owner"})
"""Roles that nobody should have for the asking."""


class Values(Protocol):
    """Typed answers by setting, and how to say that one is wrong."""

    def __getitem__(self, setting: Setting[T]) -> T: ...

    def wrong(self, setting: Setting[object], what: str) -> None: ...


def im_config(values: Values, notices: list[Notice]) -> ImConfig:
    """The slice of messaging; what operators should know of it goes to the notices."""
    for key in (Keys.im_token_jwks_url, Keys.im_connect_url):
        if values[key] and not values[key].startswith(("https://", "http://")):
            values.wrong(key, "must be a URL that begins with https:// or http://")
    if values[Keys.im_goim_trust_mid]:
        notices.append(
            Notice("warning", "im.goim_trust_mid: goim's clients are whoever they say they are")
        )
    if values[Keys.im_guests]:
        _check_guests(values, notices)
    return ImConfig(
        token=ImTokenConfig(
            secret=values[Keys.im_token_secret],
            public_key=values[Keys.im_token_public_key],
            jwks_url=values[Keys.im_token_jwks_url],
            algorithms=values[Keys.im_token_algorithms],
            audience=values[Keys.im_token_audience],
            issuer=values[Keys.im_token_issuer],
        ),
        allow_anonymous=values[Keys.im_allow_anonymous],
        guests=values[Keys.im_guests],
        guest_roles=values[Keys.im_guest_roles],
        connect_url=values[Keys.im_connect_url],
        goim_trust_mid=values[Keys.im_goim_trust_mid],
        goim_domain=values[Keys.im_goim_domain],
        goim_heartbeat=values[Keys.im_goim_heartbeat],
        goim_heartbeat_max=values[Keys.im_goim_heartbeat_max],
        goim_subscribers=values[Keys.im_goim_subscribers],
        api_key=values[Keys.im_api_key],
        history_size=values[Keys.im_history_size],
        history_ttl=values[Keys.im_history_ttl],
        backlog=values[Keys.im_backlog],
        durable=values[Keys.im_durable],
        state=values[Keys.im_state],
        tick=values[Keys.im_tick],
        kick=values[Keys.im_kick],
        connections_per_user=values[Keys.im_connections_per_user],
    )


def _check_guests(values: Values, notices: list[Notice]) -> None:
    """Their tokens are ours to sign, so they need a secret, and an algorithm that takes one."""
    algorithms = values[Keys.im_token_algorithms]
    if not values[Keys.im_token_secret]:
        values.wrong(Keys.im_guests, "needs im.token.secret, which signs their tokens")
    elif algorithms and not any(name.startswith("HS") for name in algorithms):
        values.wrong(Keys.im_guests, "needs HS256, HS384 or HS512 among im.token.algorithms")
    if staff := _STAFF.intersection(values[Keys.im_guest_roles]):
        notices.append(
            Notice("warning", f"im.guest_roles: everybody who asks for it is {min(staff)}")
        )
