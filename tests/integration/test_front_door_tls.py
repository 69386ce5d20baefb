"""The front door with a certificate: HTTPS and gRPC over TLS on the same ports, and nothing in plain text."""

import ssl
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.ingest.server import check_certificate
from pipeline.local.ports import find_free_ports
from tests.fixtures.certificates import make_certificates
from tests.fixtures.front_door import running

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def door(files: Any) -> dict[str, str]:
    return {"http_certificate_path": str(files.certificate), "http_key_path": str(files.key)}


async def test_both_protocols_speak_tls_and_nothing_else(tmp_path: Path) -> None:
    files = make_certificates(tmp_path / "certificates")
    nowhere, grpc_port = find_free_ports(2)
    settings = {**door(files), "kafka_bootstrap": f"127.0.0.1:{nowhere}", "grpc_port": grpc_port}
    async with running(tmp_path / "door", **settings) as front:
        plain = str(front.client.base_url)
        secure = plain.replace("http:", "https:")
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(files.authority))) as client:
            assert (await client.get(f"{secure}/api/public/projects")).status_code == 401
        async with httpx.AsyncClient() as stranger:  # who does not know the authority
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get(f"{secure}/api/public/projects")
        with pytest.raises(httpx.HTTPError):
            await front.client.get("/api/public/projects")
        credentials = grpc.ssl_channel_credentials(files.authority.read_bytes())
        async with grpc.aio.secure_channel(f"127.0.0.1:{grpc_port}", credentials) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(EXPORT)(b"", timeout=10)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_one_file_may_hold_certificate_and_key(tmp_path: Path) -> None:
    check_certificate(Settings(http_certificate_path=str(make_certificates(tmp_path).both)))


@pytest.mark.parametrize("broken", ["http_certificate_path", "http_key_path"])
def test_a_certificate_that_cannot_be_used_is_told_before_anything_starts(broken: str, tmp_path: Path) -> None:
    fields = door(make_certificates(tmp_path)) | {broken: str(tmp_path / "missing.pem")}
    with pytest.raises(SettingError, match="SPANFOLD_HTTP_CERTIFICATE_PATH"):
        check_certificate(Settings(**fields))  # type: ignore[arg-type]
