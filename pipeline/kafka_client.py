"""How every Kafka client of Spanfold reaches the brokers: addresses, TLS, SASL. Nothing else builds these options.

Rule: `kafka_options(settings)` are the arguments of any aiokafka client; stream/app.py gives Faust the same.
Certificates and host names are always verified: to trust a CA of one's own, name it. aiokafka tells of a wrong password
only in its log and asks again for ever, so a process first makes one connection itself: `check_access`.
Failure: SettingError for settings that contradict each other, files that cannot be used, a certificate that is not
trusted and credentials that brokers refuse. A broker that is not there is no failure here: it may be starting.
Configured by `kafka_*` in pipeline/config.py.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from pipeline.config import Settings
from pipeline.errors import AbsentError, SettingError
from pipeline.kafka_records import read_leniently
from pipeline.patience import is_unknown

CHECK_WITHIN = 5.0  # seconds for one connection
_REFUSED = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)


def kafka_options(settings: Settings) -> dict[str, Any]:
    """The arguments by which an aiokafka producer, consumer or admin client connects. Raises SettingError."""
    return {"bootstrap_servers": settings.kafka_bootstrap, **security_options(settings)}


def producer_options(settings: Settings) -> dict[str, Any]:
    """The same for a producer whose acknowledged records are durable, and there once. Raises SettingError."""
    return kafka_options(settings) | {"acks": "all", "enable_idempotence": True, "compression_type": "lz4"}


def security_options(settings: Settings) -> dict[str, Any]:
    """The part of `kafka_options` that is about TLS and SASL, in aiokafka's names. Raises SettingError.

    Whoever connects by these reads by kafka_records.py.
    """
    read_leniently()
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = _context(settings)
    if not protocol.startswith("SASL_"):
        return options
    mechanism = settings.kafka_sasl_mechanism
    options["sasl_mechanism"] = mechanism
    if mechanism == "OAUTHBEARER":
        if not settings.kafka_token_path:
            raise SettingError("OAUTHBEARER needs a token.", remedy="Set SPANFOLD_KAFKA_TOKEN_PATH.")
        return options | {"sasl_oauth_token_provider": TokenFile(Path(settings.kafka_token_path))}
    password = settings.kafka_password.get_secret_value()
    if not settings.kafka_username or not password:
        raise SettingError(
            f"{mechanism} needs a user and a password.",
            remedy="Set SPANFOLD_KAFKA_USERNAME and SPANFOLD_KAFKA_PASSWORD.",
        )
    return options | {"sasl_plain_username": settings.kafka_username, "sasl_plain_password": password}


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka says nothing of its types
    """A bearer token that somebody else keeps fresh in a file, as Kubernetes does: read at each connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """The token. Raises SettingError where the file cannot be read."""
        try:
            return (await asyncio.to_thread(self._path.read_text, "utf-8")).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                f"The token in {self._path} cannot be read: {error}.", remedy="Check SPANFOLD_KAFKA_TOKEN_PATH."
            ) from error


async def check_presence(settings: Settings, within: float = CHECK_WITHIN) -> None:
    """Raise AbsentError where none of the bootstrap servers takes a connection, after `within` seconds each."""
    failures: list[OSError] = []
    for host, port, _ in collect_hosts(settings.kafka_bootstrap):
        try:
            async with asyncio.timeout(within):
                _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        except OSError as error:  # TimeoutError is one
            failures.append(error)
    raise AbsentError(
        f"Kafka at {settings.kafka_bootstrap} does not answer: {failures[0].strerror or repr(failures[0])}.",
        remedy="Check SPANFOLD_KAFKA_BOOTSTRAP.",
        unknown=all(map(is_unknown, failures)),
    )


async def check_access(settings: Settings, within: float = CHECK_WITHIN) -> None:
    """Raise SettingError where a broker that answers does not let us in, with what to change.

    Tries the bootstrap servers in turn, `within` seconds each, until one lets us in. None that answers: no error.
    """
    if settings.kafka_security_protocol == "PLAINTEXT":
        return  # lets everybody in
    options = security_options(settings)
    refusal: SettingError | None = None
    for host, port, _ in collect_hosts(settings.kafka_bootstrap):
        try:
            async with asyncio.timeout(within):
                connection = await create_conn(host, port, client_id="spanfold-check", **options)
            connection.close()
            return
        except _REFUSED as error:
            refusal = _refused(settings, f"{host}:{port}", error)
        except ssl.SSLError as error:
            refusal = _untrusted(settings, f"{host}:{port}", error)
        except (KafkaError, OSError, TimeoutError):
            continue
    if refusal is not None:
        raise refusal


def _refused(settings: Settings, broker: str, error: KafkaError) -> SettingError:
    mechanism = settings.kafka_sasl_mechanism
    if isinstance(error, SaslAuthenticationFailed):
        who = "the token" if mechanism == "OAUTHBEARER" else f"user {settings.kafka_username!r} or the password"
        remedy = "Check SPANFOLD_KAFKA_USERNAME, SPANFOLD_KAFKA_PASSWORD and SPANFOLD_KAFKA_SASL_MECHANISM."
        return SettingError(f"Kafka at {broker} refuses {who} ({mechanism}).", remedy=remedy)
    return SettingError(f"Kafka at {broker} does not offer {mechanism}.", remedy="Check SPANFOLD_KAFKA_SASL_MECHANISM.")


def _untrusted(settings: Settings, broker: str, error: ssl.SSLError) -> SettingError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return SettingError(
            f"The certificate of Kafka at {broker} is not trusted: {error.verify_message}.",
            remedy="Set SPANFOLD_KAFKA_CA_PATH to who signed it, and name brokers as the certificate does.",
        )
    return SettingError(
        f"Kafka at {broker} does not speak TLS with us: {error.reason or error}.",
        remedy="Check the port, SPANFOLD_KAFKA_SECURITY_PROTOCOL and SPANFOLD_KAFKA_CERTIFICATE_PATH.",
    )


def _context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_path or None)
        if settings.kafka_certificate_path:
            context.load_cert_chain(
                settings.kafka_certificate_path,
                settings.kafka_key_path or None,
                settings.kafka_key_password.get_secret_value(),  # '' rather than a prompt on the terminal
            )
    except (OSError, ssl.SSLError) as error:
        raise SettingError(
            f"The certificates for Kafka cannot be used: {error}.",
            remedy="Check SPANFOLD_KAFKA_CA_PATH, SPANFOLD_KAFKA_CERTIFICATE_PATH and SPANFOLD_KAFKA_KEY_PATH.",
        ) from error
    return context
