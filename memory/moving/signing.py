"""Who made a bundle: Ed25519 (RFC 8032) over the manifest's canonical text."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from memory.errors import BadInput, StoreError

DOMAIN = b"apprentice bundle\n"
"""Before everything that is signed: a signature of ours means nothing elsewhere."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key of one data folder."""

    private: Ed25519PrivateKey

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """The key in a file: 32 bytes in base64. Raises StoreError when it cannot be read."""
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(b64decode(path.read_bytes(), validate=False)))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the signing key {str(path)!r} cannot be read ({error}): restore it, or remove it"
            ) from error

    @classmethod
    def at(cls, path: Path) -> SigningKey:
        """The key in a file; made there, for its owner's eyes alone, when there is none."""
        if not path.exists():
            key = cls(Ed25519PrivateKey.generate())
            building = path.with_name(f".{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
            descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(b64encode(key.private.private_bytes_raw()) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                # A link, for a rename would replace the key of somebody who was faster.
                path.hardlink_to(building)
            except FileExistsError:
                pass
            finally:
                building.unlink()
        return cls.read(path)

    @property
    def public(self) -> str:
        """What others know it by: 32 bytes in base64."""
        return b64encode(self.private.public_key().public_bytes_raw()).decode()

    def sign(self, text: str) -> str:
        """The signature of a text: 64 bytes in base64."""
        return b64encode(self.private.sign(DOMAIN + text.encode())).decode()


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signs what leaves a memory, and whose signature on what comes in is believed."""

    path: Path | None = None
    """File of the own key, made at its first use; None: what leaves is not signed."""
    trusted: frozenset[str] = frozenset()
    """Public keys of others."""

    def own(self) -> SigningKey | None:
        """The own key."""
        return None if self.path is None else SigningKey.at(self.path)

    def knows(self, signer: str) -> bool:
        """Is it one of the trusted, or the own key? Nobody's signature, the empty name, is not."""
        if signer in self.trusted:
            return bool(signer)
        return self.path is not None and self.path.exists() and SigningKey.read(self.path).public == signer


def check_signature(text: str, signer: str, signature: str) -> None:
    """Raises BadInput when the signer, a public key, did not sign the text."""
    try:
        key = Ed25519PublicKey.from_public_bytes(b64decode(signer, validate=True))
        key.verify(b64decode(signature, validate=True), DOMAIN + text.encode())
    except (InvalidSignature, Base64Error, ValueError) as error:
        raise BadInput(f"the signature is not one of {signer!r}: the bundle was changed or forged") from error
