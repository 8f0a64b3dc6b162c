"""Seeds derived from what a draw is for, so that no draw depends on the order of work."""

import hashlib


def derive_seed(*names: str | int) -> int:
    """A 63-bit seed from names and numbers; the same parts always give the same seed."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
