"""Certificates: are they in force, for which names, and is the key theirs?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from livetrio.config import Config, TlsConfig
from livetrio.doctor.finding import Finding

__all__ = ["check_certificates"]

_SOON = timedelta(days=21)
"""Let's Encrypt's clients renew 30 days before the end: with 21 left something is broken."""
_MAX_NAMES = 8


def check_certificates(config: Config, *, now: datetime | None = None) -> Iterator[Finding]:
    """Each certificate that a listener uses, once."""
    users: dict[TlsConfig, list[str]] = {}
    for place in fields(config.listen):
        endpoint = getattr(config.listen, place.name)
        if endpoint.address is not None and endpoint.tls is not None:
            users.setdefault(endpoint.tls, []).append(f"{place.name}_addr")
    for tls, keys in users.items():
        yield from _check(tls, ", ".join(keys), now or datetime.now(UTC))


def _check(tls: TlsConfig, subject: str, now: datetime) -> Iterator[Finding]:
    try:
        certificate = x509.load_pem_x509_certificates(tls.cert.read_bytes())[0]
        key = load_pem_private_key(tls.key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        advice = "PEM files are wanted: the chain with the server's certificate first, and a key "
        advice += "without passphrase that this user may read"
        yield Finding("error", subject, f"{tls.cert}, {tls.key}: {error}", advice)
        return
    until = certificate.not_valid_after_utc
    if now > until:
        yield Finding("error", subject, f"{tls.cert} expired on {until:%Y-%m-%d}", "renew it")
    elif now < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc
        text = f"{tls.cert} begins on {begins:%Y-%m-%d}"
        yield Finding("error", subject, text, "look at this host's clock, or wait")
    elif until - now < _SOON:
        text = f"{tls.cert} expires in {(until - now).days} days"
        yield Finding("warning", subject, text, "its renewal should have run: look at its log")
    else:
        yield Finding("ok", subject, f"{tls.cert} is good until {until:%Y-%m-%d}")
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        text = f"{tls.key} is not the key of {tls.cert}"
        yield Finding("error", subject, text, "give the pair that was made together")
    yield from _check_names(certificate, tls, subject)


def _check_names(certificate: x509.Certificate, tls: TlsConfig, subject: str) -> Iterator[Finding]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*found.get_values_for_type(x509.DNSName)]
        names += [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if not names:
        text = f"{tls.cert} names no host: browsers take it for nobody's"
        yield Finding("error", subject, text, "make one with subject alternative names")
        return
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    text = f"{tls.cert} is for {', '.join(names[:_MAX_NAMES])}{more}"
    if certificate.issuer == certificate.subject:
        advice = "fine for tests; browsers want one of an authority (certbot, acme.sh)"
        yield Finding("warning", subject, f"{text}, signed by itself", advice)
    else:
        yield Finding("ok", subject, text)
