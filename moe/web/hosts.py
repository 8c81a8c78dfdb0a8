"""Which Host a request may name: a page whose name was rebound to this server's address still has to say that name."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from functools import cache, lru_cache

from .. import net

REMEMBERED = 1024
LONGEST_HOST = 261  # a name of 255 characters and a port
EVERY = "*"
# No resolver of the internet knows names under these, so none of them can be rebound from there.
PRIVATE = (".localhost", ".local", ".internal")
_HOST = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\])|([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?))(?::\d{0,5})?")


class Hosts:
    """The names and addresses of one server: its own, and `named`, where "*.x" is every name under x and "*" all.

    On a loopback address those of this machine and its private network. On any other, which has other machines for
    clients, also every address, every name without a dot, and this machine's name with its domain.
    """

    def __init__(self, bound: str, named: Iterable[str]) -> None:
        """`bound` is the address or name listened on."""
        address = net.parse_address(bound)
        listed = frozenset(named)
        self._is_local = net.is_loopback(bound) and not (address is not None and address.is_unspecified)
        self._is_open = EVERY in listed
        self._own = _spell(socket.gethostname())
        self._names = frozenset(map(_spell, ("localhost", bound, *listed))) | {self._own}
        self._endings = (*PRIVATE, *(_spell(name[1:]) for name in listed if name.startswith("*.")))
        # The same few come again and again; judging them anew would cost a tenth of a request.
        self._serve_known = lru_cache(REMEMBERED)(self._judge)

    def serve(self, host: str) -> bool:
        """Whether a request with this Host header may come in; one without any is no web page's."""
        return self._is_open or not host or (len(host) <= LONGEST_HOST and self._serve_known(host))

    def _judge(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = _spell(found[1] or found[2])
        if name in self._names or name.endswith(self._endings):
            return True
        if net.parse_address(name) is not None:
            return not self._is_local or net.is_private(name)
        # Whoever runs the local network gives out the domain: that must not get their page in to a loopback address.
        return not self._is_local and found[2] is not None and ("." not in name or self._is_full_name(name))

    def _is_full_name(self, name: str) -> bool:
        """Whether it is this machine's name with its domain. A resolver that is asked for that may take seconds, so
        only a name that begins like this machine's makes us ask."""
        return name.startswith(self._own.partition(".")[0] + ".") and name == _full_name()


def _spell(name: str) -> str:
    """An address or name in the one spelling that is compared."""
    address = net.parse_address(name)
    return name.removesuffix(".").casefold() if address is None else str(address)


@cache
def _full_name() -> str:
    try:
        return _spell(socket.getfqdn())
    except UnicodeError:  # of a host name longer than any in the DNS
        return _spell(socket.gethostname())
