"""Free TCP ports on this machine, for `up --port 0` and for tests."""

import socket

LOOPBACK = "127.0.0.1"


def find_free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on now. All are held until the last is found."""
    held = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for sock in held:
            sock.bind((LOOPBACK, 0))
        return [int(sock.getsockname()[1]) for sock in held]
    finally:
        for sock in held:
            sock.close()


def find_free_port() -> int:
    """A port that nothing listens on now. Another program may take it before you do; then ask again."""
    return find_free_ports(1)[0]


def is_open(port: int, timeout: float = 1.0) -> bool:
    """Whether something on this machine accepts connections on `port`; waits at most `timeout` seconds."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False
