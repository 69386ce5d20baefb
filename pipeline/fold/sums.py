"""Sums over subtrees, kept by differences: what a node gave to the one above is known, so only changes are pushed."""

from collections.abc import Iterable

from pipeline.fold.observation import Observation, added, without


def push_up(unsummed: Iterable[Observation], changed: dict[Observation, None]) -> None:
    """Bring the sums above these up to date: each node is visited once, after all that lies below it and has changed.

    Nodes whose sums became others are noted in `changed`; the stand-in for loose ones has no id and no row.
    """
    below: dict[Observation, int] = {}  # how many of its children will push
    for node in unsummed:
        if node in below:
            continue
        below[node] = 0
        over = node.over
        while over is not None:
            if over in below:
                below[over] += 1
                break
            below[over] = 1
            over = over.over
    ready = [node for node, count in below.items() if not count]
    for node in ready:
        _push(node, changed)
        over = node.over
        if over is not None:
            below[over] -= 1
            if not below[over]:
                ready.append(over)


def _push(node: Observation, changed: dict[Observation, None]) -> None:
    total, gave = node.subtree(), node.gave
    if total == gave:
        return
    node.gave = total
    if node.id:
        changed[node] = None
    over = node.over
    if over is not None:
        over.got = added(over.got, without(total, gave))
