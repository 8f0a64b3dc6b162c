"""Digests against those that are published."""

from io import BytesIO

from lineage.record.digests import CHUNK_BYTES, Digests, digests_of, md5_of, sha256_of

ABC = Digests(
    "900150983cd24fb0d6963f7d28e17f72",
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    3,
)


def test_digests_are_the_published_ones() -> None:
    """RFC 1321 and FIPS 180-2 have both for `abc`."""
    assert digests_of(BytesIO(b"abc")) == ABC
    assert md5_of(b"abc") == ABC.md5
    assert sha256_of([b"a", b"", b"bc"]) == ABC.sha256


def test_a_stream_longer_than_a_chunk_is_read_whole() -> None:
    content = b"x" * (CHUNK_BYTES + 1)
    assert digests_of(BytesIO(content)).md5 == md5_of(content)
    assert digests_of(BytesIO(content)).size == len(content)
