"""The claim of a waiting pod. Both sides prove that they know the pod's key before the start request is sent."""

import hashlib
import hmac
import re
import secrets
from typing import Final

_NONCE: Final = re.compile(r"[0-9a-f]{32}")


class ClaimKey:
    """The pod's key: the text of FP_POD_KEY itself, not the bytes that its hex digits encode."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def challenge(self, nonce: str) -> tuple[str, str] | None:
        """(a nonce of this pod, the proof that it knows the key); None if the platform's nonce is invalid."""
        if not _NONCE.fullmatch(nonce):
            return None
        own = secrets.token_hex(16)
        return own, self._mac(f"pod:{nonce}:{own}")

    def accepts(self, own_nonce: str, body: bytes, proof: str) -> bool:
        """Whether `proof` shows that the sender of `body` knows the key and has received `own_nonce`."""
        expected = self._mac(f"platform:{own_nonce}:{hashlib.sha256(body).hexdigest()}")
        return hmac.compare_digest(expected.encode(), proof.encode("utf-8", "replace"))

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
