"""Pseudonyms: keyed, one-way, stable.

Enters: a real identifier and the key in the private folder. Leaves: 16 hexadecimal digits, the same for the same
identifier and key; the date shift of a patient. Refuses: a key file that is too short.

HMAC-SHA256 (RFC 2104) truncated to 64 bits: among a million items the chance of any collision is 3e-8.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from t3dkit.errors import ConfigError

MIN_KEY_BYTES = 16
MAX_SHIFT_DAYS = 364
_DIGITS = 16


@dataclass(frozen=True, repr=False)
class Pseudonyms:
    """Maker of pseudonyms under one key; its repr never shows the key."""

    key: bytes

    def of(self, domain: str, *parts: str) -> str:
        """The pseudonym of the identifier `parts` within `domain` (patient, study, series, ...)."""
        return self._mac(domain, *parts).hex()[:_DIGITS]

    def patient(self, issuer: str, patient_id: str) -> str:
        """The pseudonym of a patient; the same id from two issuers is two people."""
        return self.of("patient", issuer, patient_id)

    def shift_days(self, issuer: str, patient_id: str) -> int:
        """Days by which every date of the patient is moved: -364..364, never 0."""
        draw = int.from_bytes(self._mac("shift", issuer, patient_id)[:8]) % (2 * MAX_SHIFT_DAYS)
        return draw - MAX_SHIFT_DAYS if draw < MAX_SHIFT_DAYS else draw - MAX_SHIFT_DAYS + 1

    def seed(self, issuer: str, patient_id: str) -> bytes:
        """Seed of a patient's surrogates."""
        return self._mac("seed", issuer, patient_id)

    def fingerprint(self) -> str:
        """Tells two keys apart without showing either."""
        return self._mac("fingerprint").hex()[:_DIGITS]

    def _mac(self, domain: str, *parts: str) -> bytes:
        # Lengths are part of the message, so that ("ab", "c") and ("a", "bc") differ.
        message = b"".join(
            len(raw).to_bytes(4) + raw for raw in (part.encode("utf-8", "surrogateescape") for part in (domain, *parts))
        )
        return hmac.new(self.key, message, hashlib.sha256).digest()


def read_key(path: Path) -> Pseudonyms:
    """The pseudonyms under the key in a file.

    Raises
    ------
    ConfigError
        The file cannot be read or holds fewer than 16 bytes.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error.strerror}") from None
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(f"the key file {path} holds {len(key)} bytes, expected at least {MIN_KEY_BYTES} random ones")
    return Pseudonyms(key)


def make_key(path: Path) -> Path:
    """Write a new random key (32 bytes as hex, mode 0600) to `path` unless it has one; returns `path`."""
    if not path.exists():
        temporary = path.with_name(f".tmp-{path.name}")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    return path
