"""What front doors tell the ledger, as it lies on the topic of edge counts: one shape for who writes and who reads."""

import msgspec


class Publication(msgspec.Struct):
    """One message: parallel lists with an element for each (project, partition, minute).

    `minutes` and `published_at` are microseconds since the epoch.
    """

    instance: str
    number: int
    published_at: int
    topic: str
    projects: list[str]
    partitions: list[int]
    minutes: list[int]
    records: list[int]
    firsts: list[int]
    lasts: list[int]
