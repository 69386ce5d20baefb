"""One lost membership may be an accident; the second in a short time tells of a twin."""

from pipeline.stream.membership import SESSIONS, Membership

SESSION = 10.0


def losses(membership: Membership, *times: float) -> list[bool]:
    """What is thought of losses at these times, by a worker that polls every second in between."""
    found, now = [], times[0] - 5
    for at in times:
        while now < at:
            membership.alive(now)
            now += 1
        found.append(membership.lost(at))
    return found


def test_once_is_an_accident_and_twice_is_a_twin() -> None:
    membership = Membership("worker-1", SESSION)
    assert losses(membership, 100.0, 103.0) == [False, True]
    assert "'worker-1'" in membership.complaint


def test_two_accidents_far_apart_are_no_twin() -> None:
    far = SESSION * SESSIONS + 1
    assert losses(Membership("worker-1", SESSION), 0.0, far, 2 * far, 2 * far + 3) == [False, False, False, True]


def test_without_an_instance_id_there_are_no_twins() -> None:
    assert losses(Membership("", SESSION), *map(float, range(5))) == [False] * 5


def test_a_worker_that_stood_still_lost_its_membership_by_itself() -> None:
    membership = Membership("worker-1", SESSION)
    for number in range(5):  # SIGSTOP and SIGCONT, again and again
        membership.alive(number * 20.0)
        assert not membership.lost(number * 20.0 + 15)
        membership.alive(number * 20.0 + 16)
    assert losses(membership, 195.0, 206.0, 209.0) == [False, False, True]
