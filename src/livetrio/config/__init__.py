"""Configuration: one frozen dataclass per service, read once from file, environment and flags.

`load` is the only way in from outside; tests and the demo build `Config` themselves, every field
of every slice has its default. `document` turns a file into nodes that know their line, `values`
reads one node, `settings` is the table of all keys, `build` puts them together.
"""

from livetrio.config.im import ImConfig, ImTokenConfig
from livetrio.config.load import DEFAULT_FILES, load
from livetrio.config.rooms import RoomsConfig
from livetrio.config.schema import (
    AccessConfig,
    Address,
    AppConfig,
    Config,
    ConnectionConfig,
    ControlConfig,
    Endpoint,
    HlsConfig,
    JwtConfig,
    ListenConfig,
    LogConfig,
    MediaConfig,
    Network,
    Notice,
    RecordConfig,
    RedisConfig,
    RelayConfig,
    RenditionConfig,
    StoreConfig,
    TlsConfig,
    TurnConfig,
    WebrtcConfig,
)
from livetrio.config.settings import SETTINGS, Setting

__all__ = [
    "DEFAULT_FILES",
    "SETTINGS",
    "AccessConfig",
    "Address",
    "AppConfig",
    "Config",
    "ConnectionConfig",
    "ControlConfig",
    "Endpoint",
    "HlsConfig",
    "ImConfig",
    "ImTokenConfig",
    "JwtConfig",
    "ListenConfig",
    "LogConfig",
    "MediaConfig",
    "Network",
    "Notice",
    "RecordConfig",
    "RedisConfig",
    "RelayConfig",
    "RenditionConfig",
    "RoomsConfig",
    "Setting",
    "StoreConfig",
    "TlsConfig",
    "TurnConfig",
    "WebrtcConfig",
    "load",
]
