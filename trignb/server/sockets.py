"""The sockets a server listens on: TCP, TLS, unix."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import Mapping
from typing import Any, Final

from trignb.errors import ResponseError

__all__ = ["Listener", "address_of", "listen_tcp_all", "listen_unix", "tls_context"]

_PROTOCOLS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_EVERYWHERE: Final = {"*": "0.0.0.0", "::*": "::"}
# What an address says that this machine does not have.
_UNAVAILABLE: Final = frozenset(
    {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
)
_CLIENT_CERTIFICATES: Final = {
    "no": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "yes": ssl.CERT_REQUIRED,
}


class Listener:
    """A listening socket; ``tls`` is None where clients speak in the clear."""

    def __init__(
        self, sock: socket.socket, tls: ssl.SSLContext | None = None, path: str = ""
    ) -> None:
        self.sock = sock
        self.tls = tls
        self.path = path
        sock.setblocking(False)

    @property
    def port(self) -> int:
        """The port, 0 for a unix socket."""
        return 0 if self.path else int(self.sock.getsockname()[1])

    @property
    def host(self) -> str:
        """The address, empty for a unix socket."""
        return "" if self.path else str(self.sock.getsockname()[0])

    @property
    def shown(self) -> str:
        """Where it listens, as people write it."""
        if self.path:
            return self.path
        host, port = self.sock.getsockname()[:2]
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{where} (TLS)" if self.tls else where

    def close(self) -> None:
        """Stop listening; a unix socket's file goes too."""
        self.sock.close()
        if self.path:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def listen_tcp_all(
    hosts: str, port: int, backlog: int, tls: ssl.SSLContext | None
) -> list[Listener]:
    """Listen on each of some addresses, as ``bind`` lists them; port 0 is any free one.

    Raises
    ------
    OSError
        When an address is taken, or unknown and not marked by a ``-`` before it.
    """
    listeners: list[Listener] = []
    try:
        for word in hosts.split() or ["127.0.0.1"]:
            host = word.removeprefix("-")
            chosen = listeners[0].port if listeners else port
            try:
                found = _listen_tcp(_EVERYWHERE.get(host, host), chosen, backlog, tls)
            except OSError as error:
                if not word.startswith("-") or error.errno not in _UNAVAILABLE:
                    text = f"cannot listen on {host}:{chosen}: {error.strerror}"
                    raise OSError(error.errno, text) from None
            else:
                listeners.append(found)
        if not listeners:
            raise OSError(errno.EADDRNOTAVAIL, f"no address of {hosts!r} is there")
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen_tcp(
    host: str, port: int, backlog: int, tls: ssl.SSLContext | None
) -> Listener:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, tls)


def listen_unix(path: str, permissions: int, backlog: int) -> Listener:
    """Listen on a unix socket; a socket that an earlier server left is replaced."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        if permissions:
            os.chmod(path, permissions)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, path=path)


def tls_context(values: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the context that the ``tls-…`` parameters describe.

    Raises
    ------
    ResponseError
        When a file is missing or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(
            values["tls-cert-file"],
            values["tls-key-file"] or None,
            values["tls-key-file-pass"] or None,
        )
        if values["tls-ca-cert-file"] or values["tls-ca-cert-dir"]:
            context.load_verify_locations(
                values["tls-ca-cert-file"] or None, values["tls-ca-cert-dir"] or None
            )
        if values["tls-ciphers"]:
            context.set_ciphers(values["tls-ciphers"])
        wanted = [_PROTOCOLS[name] for name in values["tls-protocols"].split()]
    except (OSError, ssl.SSLError, KeyError) as error:
        raise ResponseError(
            f"Unable to update TLS configuration. Check server logs. ({error})"
        ) from None
    context.minimum_version = min(wanted, default=ssl.TLSVersion.TLSv1_2)
    if wanted:
        context.maximum_version = max(wanted)
    context.verify_mode = _CLIENT_CERTIFICATES[values["tls-auth-clients"]]
    return context


def address_of(sock: socket.socket, name: Any, path: str) -> str:
    """Return an address as CLIENT LIST prints it."""
    if path:
        return f"{path}:0"
    host, port = name[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
