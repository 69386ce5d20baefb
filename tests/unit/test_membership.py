"""One lost membership may be an accident; after the second in a short time the group is asked who has it."""

from pipeline.stream.membership import SESSIONS, Membership

SESSION = 10.0


async def twin() -> list[str]:
    """Somebody else has it."""
    return ["10.0.0.8", "10.0.0.7"]


async def nobody() -> list[str]:
    """The network was cut."""
    return []


def losses(membership: Membership, *times: float) -> list[bool]:
    """What is thought of losses at these times, by a worker that polls every second in between."""
    found, now = [], times[0] - 5
    for at in times:
        while now < at:
            membership.alive(now)
            now += 1
        found.append(membership.lost(at))
    return found


async def test_once_is_an_accident_and_twice_is_a_twin() -> None:
    membership = Membership("worker-1", SESSION, twin)
    assert losses(membership, 100.0, 103.0) == [False, True]
    membership = Membership("worker-1", SESSION, twin)
    assert await membership.complaint(100.0) == ""
    assert "'worker-1' (at 10.0.0.7, 10.0.0.8)" in await membership.complaint(103.0)


async def test_cuts_in_the_network_are_no_twin_however_often() -> None:
    membership = Membership("worker-1", SESSION, nobody)
    assert {await membership.complaint(now) for now in (100.0, 103.0, 106.0, 109.0, 112.0)} == {""}
    membership = Membership("worker-1", SESSION, nobody)
    assert losses(membership, 100.0, 103.0)[1]
    assert await membership.complaint(106.0) == ""
    assert not membership.lost(109.0)  # what came before the answer counts no more


def test_two_accidents_far_apart_are_no_twin() -> None:
    far = SESSION * SESSIONS + 1
    assert losses(Membership("worker-1", SESSION, twin), 0.0, far, 2 * far, 2 * far + 3) == [False, False, False, True]


def test_without_an_instance_id_there_are_no_twins() -> None:
    assert losses(Membership("", SESSION, twin), *map(float, range(5))) == [False] * 5


def test_a_worker_that_stood_still_lost_its_membership_by_itself() -> None:
    membership = Membership("worker-1", SESSION, twin)
    for number in range(5):  # SIGSTOP and SIGCONT, again and again
        membership.alive(number * 20.0)
        assert not membership.lost(number * 20.0 + 15)
        membership.alive(number * 20.0 + 16)
    assert losses(membership, 195.0, 206.0, 209.0) == [False, False, True]
