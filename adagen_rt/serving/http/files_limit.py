"""How many files this process may have open, which bounds its connections."""

from __future__ import annotations

from dataclasses import replace

from adagen_rt.serving.http.connections import RESERVE, ConnectionLimits

#: Files besides connections: graphs, libraries, logs, and those of threads that read engines.
OTHERS = 128


def fitted(limits: ConnectionLimits, servers: int = 1) -> ConnectionLimits:
    """Raise the process's limit to what the connections need, else lower theirs to what it is.

    Args:
        limits: The limits that each server should have.
        servers: Servers of this process.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return limits
    needed = servers * (limits.total + RESERVE) + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    if soft != endless and soft < needed:
        soft = needed if hard == endless else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == endless or soft >= needed:
        return limits
    total = max(1, (soft - OTHERS) // servers - RESERVE)
    return replace(limits, total=total, per_address=min(limits.per_address, total))
