"""Free TCP ports on this machine."""

import contextlib
import socket

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Say whether a port on the loopback address can be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Give that many different ports that are free now; all are held until the last is found."""
    with contextlib.ExitStack() as held:
        return [_take(held) for _ in range(count)]


def free_port() -> int:
    """Give one port that is free now."""
    return free_ports(1)[0]


def _take(held: contextlib.ExitStack) -> int:
    probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    probe.bind((LOOPBACK, 0))
    port: int = probe.getsockname()[1]
    return port


def accepts_connections(host: str, port: int, timeout_seconds: float = 1.0) -> bool:
    """Say whether something listens there.

    Args:
        host: a name or an address.
        port: a TCP port.
        timeout_seconds: how long to wait for the connection.
    """
    try:
        with socket.create_connection((host, port), timeout_seconds):
            return True
    except OSError:
        return False
