"""TLS contexts: the server's, made again when the certificate's files change, and the client's."""

from __future__ import annotations

import ssl
from pathlib import Path

from livetrio.errors import StartError
from livetrio.logs import get_logger

__all__ = ["ServerTls", "client_tls"]

log = get_logger(__name__)


class ServerTls:
    """A certificate and key on disk, and the newest context that they made.

    Raises:
        StartError: the files cannot be used at start. Later failures keep the old context.
    """

    def __init__(self, cert: str | Path, key: str | Path) -> None:
        self._cert = Path(cert)
        self._key = Path(key)
        try:
            self._stamp = self._stat()
            self._context = self._load()
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"cannot use certificate {cert} with key {key}: {error}") from error

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake. Two stat calls; a reload only after a change."""
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                self._context = self._load()
                log.info("certificate reloaded", cert=str(self._cert))
        except (OSError, ssl.SSLError) as error:
            # Renewal tools write the two files one after the other: the pair fits again soon.
            log.warning("certificate not reloaded, the old one stays", error=str(error))
        return self._context

    def _stat(self) -> tuple[int, ...]:
        cert, key = self._cert.stat(), self._key.stat()
        return (cert.st_mtime_ns, cert.st_ino, cert.st_size, key.st_mtime_ns, key.st_ino)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._cert, self._key)
        return context


def client_tls(*, verify: bool) -> ssl.SSLContext:
    """For relays to and from RTMPS and HTTPS; verify=False is livego's enable_tls_verify: false."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
