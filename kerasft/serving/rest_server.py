"""The REST side of the server: uvicorn around the REST API, the page and the metrics."""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from pathlib import Path

import uvicorn

from kerasft.errors import KerasftError
from kerasft.serving.metrics import Metrics
from kerasft.serving.rest_app import RestOptions, rest_app


class _Deaf(uvicorn.Server):
    """Leaves the signals to `kerasft.serving.server`, which has gRPC to stop as well."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


class RestServer:
    """Listens on a socket that is bound already. To be used in one event loop.

    Args:
        models: what is served.
        options: the server's `ServeOptions`.
        metrics: is told of every answer.
    """

    def __init__(self, models, options, metrics: Metrics):
        page = None
        if options.page:
            from kerasft.serving.page import page_app

            page = page_app(models, options.port, grpc_tls=options.ssl is not None)
        self.app = rest_app(
            models,
            RestOptions(
                num_threads=options.rest_api_num_threads,
                timeout_seconds=options.rest_api_timeout_in_ms / 1000,
                max_body_bytes=options.max_request_bytes,
                max_pending=options.max_concurrent_requests,
                enable_cors=options.rest_api_enable_cors_support,
                metrics_text=metrics.text if options.metrics_path else None,
                **({"metrics_path": options.metrics_path} if options.metrics_path else {}),
                page=page,
                observe=metrics.rest_reply,
            ),
        )
        config = uvicorn.Config(
            self.app,
            # What it would say is said by the banner; access is counted by the metrics.
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
        )
        config.load()
        if options.ssl and options.rest_api_tls:
            config.ssl = tls_context(options.ssl)
        self._server = _Deaf(config)
        self._running: asyncio.Task | None = None

    async def start(self, bound: socket.socket) -> None:
        """Answers from now on."""
        self._running = asyncio.ensure_future(self._server.serve(sockets=[bound]))
        while not self._server.started:
            if self._running.done():
                await self._running
                raise KerasftError("The REST server did not start.")
            await asyncio.sleep(0.01)

    async def stop(self, seconds: float) -> None:
        """Takes no more connections, and waits for the requests under way, `seconds` at most."""
        self._server.config.timeout_graceful_shutdown = seconds
        self._server.should_exit = True
        await asyncio.wait((self._running,), timeout=seconds)


def tls_context(config) -> ssl.SSLContext:
    """Makes a TLS context of what `--ssl_config_file` holds.

    Raises:
        KerasftError: a key or a certificate that is none, or that do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # OpenSSL reads them from files only. The folder is readable for this user alone, and gone at once.
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
            key.write_bytes(config.server_key)
            certificate.write_bytes(config.server_cert)
            context.load_cert_chain(certificate, key)
        if config.client_verify:
            context.load_verify_locations(cadata=config.custom_ca.decode())
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise KerasftError(
            f"--ssl-config-file: the key and the certificates do not make a TLS server: {error}."
        ) from None
    return context
