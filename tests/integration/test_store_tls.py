"""ClickHouse over TLS: verified always, and a certificate that is not trusted is told at once."""

from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.store.client import connect
from pipeline.store.errors import StoreError
from tests.fixtures.certificates import make_certificates
from tests.fixtures.clickhouse import ClickHouseProcess
from tests.fixtures.tls_gate import tls_gate

pytestmark = pytest.mark.stack


def test_the_server_must_prove_who_it_is(clickhouse: ClickHouseProcess, tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    with tls_gate(files, clickhouse.port) as port:
        url = f"https://127.0.0.1:{port}"
        trusting = Settings(clickhouse_url=url, clickhouse_ca_path=str(files.authority))
        client = connect(trusting, database="default")
        assert client.command("SELECT 1") == 1
        client.close()
        with pytest.raises(StoreError, match="not trusted: unable to get local issuer") as caught:
            connect(Settings(clickhouse_url=url), database="default")  # not after the 30 s of a server that starts
        assert "SPANFOLD_CLICKHOUSE_CA_PATH" in caught.value.remedy


def test_a_missing_authority_and_a_password_in_the_url_are_refused() -> None:
    with pytest.raises(SettingError, match="SPANFOLD_CLICKHOUSE_CA_PATH"):
        connect(Settings(clickhouse_url="https://db:8443", clickhouse_ca_path="/nowhere/ca.pem"))
    with pytest.raises(SettingError, match="SPANFOLD_CLICKHOUSE_PASSWORD") as caught:
        connect(Settings(clickhouse_url="https://me:hidden@db:8443"))
    assert "hidden" not in str(caught.value)
