"""The gateway's DTLS certificate: made once, kept in the data folder.

Self-signed ECDSA P-256: what proves it is its fingerprint in the SDP, not a name. It is kept so
that operators can pin it, and so that every worker process shows the same.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from livetrio.errors import StartError
from livetrio.logs import get_logger

__all__ = ["Certificate", "load_certificate", "make_certificate"]

log = get_logger(__name__)

_FILE = "webrtc.pem"
_LIFETIME = timedelta(days=3650)
_RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Certificate and private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def fingerprint(self) -> tuple[str, str]:
        """As in a=fingerprint: ("sha-256", "AB:CD:...") (RFC 8122 section 5)."""
        return "sha-256", self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def make_certificate() -> Certificate:
    """A new one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "livetrio")])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of browsers are wrong
        .not_valid_after(now + _LIFETIME)
        .sign(key, hashes.SHA256())
    )
    return Certificate(certificate, key)


def load_certificate(data_dir: Path) -> Certificate:
    """The one kept in `data_dir`; made there where it is missing, broken or about to expire.

    Blocking file access, once at start.

    Raises:
        StartError: it can neither be read nor written.
    """
    path = data_dir / _FILE
    try:
        found = _read(path)
        if found is not None:
            return found
        made = make_certificate()
        _write(path, made)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"cannot keep the WebRTC certificate in {path}: {reason}") from error
    log.info("certificate made", file=str(path), fingerprint=made.fingerprint[1])
    return made


def _read(path: Path) -> Certificate | None:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        key = serialization.load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError) as error:
        log.warning("certificate unusable, making a new one", file=str(path), reason=str(error))
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or (
        certificate.public_key() != key.public_key()
    ):
        log.warning("certificate unusable, making a new one", file=str(path), reason="wrong key")
        return None
    if certificate.not_valid_after_utc - datetime.now(tz=UTC) < _RENEW_BEFORE:
        log.info("certificate about to expire, making a new one", file=str(path))
        return None
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        log.warning("private key was readable by others; closed now", file=str(path))
        path.chmod(0o600)
    return Certificate(certificate, key)


def _write(path: Path, made: Certificate) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = made.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + made.certificate.public_bytes(serialization.Encoding.PEM)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
