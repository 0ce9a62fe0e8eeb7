"""Who can reach the broker, and whether they need a password."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address

from db.doctor.finding import Finding, Verdict


class Reach(StrEnum):
    """From where a server can be reached."""

    THIS_MACHINE = "only this machine can reach it"
    PROTECTED = "only protected mode keeps other machines out"
    """It is bound to the network, and refuses clients from there that need no password."""
    NETWORK = "other machines can reach it"
    UNKNOWN = "who can reach it could not be seen"


def reach(settings: Mapping[str, str] | None, host: str | None) -> Reach:
    """Where a server listens.

    Args:
        settings: its `port`, `tls-port`, `bind` and `protected-mode`; None where it refuses to
            tell them.
        host: the host by which it was reached; None for a unix socket.
    """
    if settings is None:
        away = host is not None and not _is_loopback(host)
        return Reach.NETWORK if away else Reach.UNKNOWN
    if settings["port"] == settings["tls-port"] == "0":
        return Reach.THIS_MACHINE
    addresses = settings["bind"].split() or ["*"]
    # A minus before an address: no error if the machine does not have it.
    if all(_is_loopback(address.removeprefix("-")) for address in addresses):
        return Reach.THIS_MACHINE
    return Reach.PROTECTED if settings["protected-mode"] == "yes" else Reach.NETWORK


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def password(reached: Reach, open_to_anybody: bool) -> Finding:
    """The verdict on a server that can be reached from there, with or without a password."""
    what = "broker's password"
    if not open_to_anybody:
        return Finding(what, "required")
    cure = "set requirepass, and the same password in NIGHTSHELF_BROKER_URL"
    verdict = {
        Reach.THIS_MACHINE: Verdict.OK,
        Reach.NETWORK: Verdict.BAD,
    }.get(reached, Verdict.WARNING)
    return Finding(what, f"none; {reached}", verdict, "" if verdict is Verdict.OK else cure)
