"""TLS towards a primary."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from trignb.replication.handshake import LinkError

__all__ = ["client_context"]


def client_context(values: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the context for the ``tls-…`` parameters, with our own certificate.

    Raises
    ------
    LinkError
        When a file is missing or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As Redis: the certificate has to be signed by whom we trust, whatever name it has.
    context.check_hostname = False
    own = values["tls-client-cert-file"] or values["tls-cert-file"]
    key = values["tls-client-key-file"] or values["tls-key-file"]
    password = values["tls-client-key-file-pass"] or values["tls-key-file-pass"]
    try:
        if own:
            context.load_cert_chain(own, key or None, password or None)
        context.load_verify_locations(
            values["tls-ca-cert-file"] or None, values["tls-ca-cert-dir"] or None
        )
    except (OSError, ssl.SSLError, TypeError) as error:
        raise LinkError(f"the certificates cannot be used: {error}") from None
    return context
