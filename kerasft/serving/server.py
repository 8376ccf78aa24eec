"""The server: models, gRPC and REST in one process and one event loop, from the first load to the last answer."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from kerasft.errors import KerasftError
from kerasft.serving.model_config import ModelConfig
from kerasft.serving.models import Models, ModelsOptions
from kerasft.serving.status import ServingError

DRAINED, HURRIED, UNLOADED = "drained", "hurried", "unloaded"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ServeOptions:
    """What is served, where and within which limits. Names are those of `tensorflow_model_server`'s flags.

    Attributes:
        models: the models to begin with.
        models_options: how they are watched and run.
        host: the address to listen on.
        port: of gRPC; 0: no gRPC.
        rest_api_port: of REST; 0: no REST.
        rest_api_num_threads: REST requests that run at a time.
        rest_api_timeout_in_ms: then a REST request is answered 504.
        rest_api_enable_cors_support: pages of other origins may read the answers.
        rest_api_tls: REST too with the certificate of `ssl`; TensorFlow Serving uses it for gRPC alone.
        grpc_max_threads: gRPC requests that run at a time.
        max_request_bytes: a larger request is refused.
        max_concurrent_requests: one more is refused, on each side; 0: no limit.
        drain_seconds: how long requests under way may take after SIGTERM.
        ssl: a `config_files.SslConfig`, or None for plain text.
        metrics_path: where Prometheus reads, or None for nowhere.
        page: whether there is the page at `/`.
    """

    models: Sequence[ModelConfig]
    models_options: ModelsOptions = field(default_factory=ModelsOptions)
    host: str = "127.0.0.1"
    port: int = 8500
    rest_api_port: int = 8501
    rest_api_num_threads: int = 4 * (os.cpu_count() or 1)
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    rest_api_tls: bool = False
    grpc_max_threads: int = 64
    max_request_bytes: int = 64 * 2**20
    max_concurrent_requests: int = 0
    drain_seconds: float = 30.0
    ssl: object | None = None
    metrics_path: str | None = None
    page: bool = True


def serve(options: ServeOptions, report: Callable[[str], None]) -> str:
    """Serves until SIGTERM or SIGINT; then takes no more requests, answers those under way, and frees the models.

    Args:
        options: see there.
        report: is given the banner, and what happens after it, line by line.

    Returns:
        How it ended: `DRAINED`, all is answered and freed; `HURRIED`, requests were given up, after a second signal or
        because `drain_seconds` were over; `UNLOADED`, the signal came before the models were loaded. But for the first,
        threads are left that still run models, and the process should end without waiting for them.

    Raises:
        KerasftError: a port that is taken, or models that cannot be served.
    """
    if not options.port and not options.rest_api_port:
        raise KerasftError("Both ports are 0: nothing would listen. Leave out --port or --rest-api-port.")
    if options.port == options.rest_api_port:
        raise KerasftError(f"gRPC and REST cannot share port {options.port}. Pass another --rest-api-port.")
    return asyncio.run(_serve(options, report))


async def _serve(options: ServeOptions, report: Callable[[str], None]) -> str:
    from kerasft.serving.grpc_server import make_grpc
    from kerasft.serving.health import Health
    from kerasft.serving.metrics import Metrics
    from kerasft.serving.rest_server import RestServer, tls_context

    if options.ssl:
        tls_context(options.ssl)  # gRPC would not say what is wrong with a key
    stop, hurry = _on_signals()
    metrics, health = Metrics(), Health()
    with contextlib.ExitStack() as ports:
        # Ports first: a model may take long to load, a port that is taken shows at once.
        rest_socket = None
        if options.port:
            listen(options.host, options.port, "gRPC", "--port").close()
        if options.rest_api_port:
            rest_socket = ports.enter_context(listen(options.host, options.rest_api_port, "REST", "--rest-api-port"))
        models = Models(options.models, options.models_options)
        report(f"Loading {', '.join(config.name for config in options.models) or 'nothing'} …")
        if not await _unless(stop, _in_thread(_start, models)):
            return UNLOADED
        grpc_server = rest_server = None
        if options.port:
            grpc_server, _ = make_grpc(models, _grpc_options(options), health, metrics.grpc_request)
            await grpc_server.start()
        if rest_socket:
            rest_server = RestServer(models, options, metrics)
            await rest_server.start(rest_socket)
        for line in banner(options, models):
            report(line)
        await stop.wait()
        report("Stopping: no new requests; those under way are answered. Once more to stop at once.")
        health.set(False)
        if not await _unless(hurry, _drain(grpc_server, rest_server, options.drain_seconds)):
            return HURRIED
        closed = await _unless(hurry, _in_thread(models.close))
    return DRAINED if closed else HURRIED


def _grpc_options(options: ServeOptions):
    from kerasft.serving.grpc_server import GrpcOptions

    return GrpcOptions(
        address=joined(options.host, options.port),
        max_message_bytes=options.max_request_bytes,
        max_concurrent=options.max_concurrent_requests or None,
        threads=options.grpc_max_threads,
        credentials=grpc_credentials(options.ssl) if options.ssl else None,
    )


def _start(models: Models) -> None:
    from kerasft.serving.quiet import hush
    from kerasft.serving.resident import forget_library_pages

    hush()
    # Before the models too: the peak is then that of the larger of the two, and not their sum.
    forget_library_pages()
    try:
        models.start()
    except ServingError as error:
        raise KerasftError(f"The server did not start: {error.message}") from None
    forget_library_pages()


async def _drain(grpc_server, rest_server, seconds: float) -> bool:
    """Stops both sides. Gives whether all requests under way ended in time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    sides = [grpc_server.stop(seconds)] if grpc_server else []
    sides += [rest_server.stop(seconds)] if rest_server else []
    await asyncio.gather(*sides)
    return loop.time() - began < seconds


async def _unless(event: asyncio.Event, work: Awaitable[bool]) -> bool:
    """Waits for work, or for the event if that comes first. Gives the work's result, False without one."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else False
    finally:
        waiting.cancel()


async def _in_thread(function: Callable, *arguments) -> bool:
    """Calls a function in a thread that nobody waits for at the end, as asyncio would for one of its own."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(True)
        else:
            done.set_exception(error)

    def call():
        error = None
        try:
            function(*arguments)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=call, daemon=True).start()
    return await done


def _on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events for the first and for the second of SIGTERM and SIGINT."""
    first, second = asyncio.Event(), asyncio.Event()

    def told():
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    return first, second


def listen(host: str, port: int, what: str, option: str) -> socket.socket:
    """Binds a socket.

    Raises:
        KerasftError: the port is taken, or the host is no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise KerasftError(f"--host {host} is no address to listen on: {error.strerror or error}.") from None
    try:
        # A server that has just ended leaves connections behind that would hold the port for a minute.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Without this two programs that only bind the port would both seem to have it.
        bound.listen(1)
    except OSError as error:
        bound.close()
        raise KerasftError(
            f"{what} cannot listen on {joined(host, port)}: {error.strerror or error}. Pass another {option}."
        ) from None
    return bound


def joined(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def grpc_credentials(ssl):
    """Makes gRPC's credentials of what `--ssl_config_file` holds, as model_servers/server.cc does."""
    import grpc

    return grpc.ssl_server_credentials(
        [(ssl.server_key, ssl.server_cert)],
        root_certificates=ssl.custom_ca or None,
        require_client_auth=ssl.client_verify,
    )


def banner(options: ServeOptions, models: Models) -> list[str]:
    """What is served and where, and that this is not for production."""
    lines = [_model_line(config, models) for config in models.configs()]
    if options.port:
        security = _security(options.ssl)
        lines.append(f"gRPC  {joined(options.host, options.port)}{security}")
    if options.rest_api_port:
        tls = options.ssl and options.rest_api_tls
        root = f"{'https' if tls else 'http'}://{joined(options.host, options.rest_api_port)}"
        name = next((config.name for config in models.configs()), "NAME")
        plain = (
            "  (plain text, as TensorFlow Serving's; --rest-api-tls changes that)" if options.ssl and not tls else ""
        )
        lines.append(f"REST  {root}/v1/models/{name}:predict{_security(options.ssl) if tls else plain}")
        if options.page:
            lines.append(f"Page  {root}/")
        if options.metrics_path:
            lines.append(f"Prometheus  {root}{options.metrics_path}")
    if options.host not in LOOPBACK:
        lines.append(f"Anyone who reaches {options.host} can ask these models: put a firewall or a proxy before it.")
    lines.append(
        "For development, tests and small loads. Production is TensorFlow Serving: the same API, the same files."
    )
    return lines


def _security(ssl) -> str:
    if ssl is None:
        return ""
    return "  (TLS, client certificates)" if ssl.client_verify else "  (TLS)"


def _model_line(config: ModelConfig, models: Models) -> str:
    from kerasft.serving.protos import model_pb2

    try:
        found = models.status(model_pb2.ModelSpec(name=config.name))
        available = ", ".join(str(entry.version) for entry in found if entry.state == "AVAILABLE")
    except ServingError:
        available = ""
    told = f"version {available}" if available else "no version yet"
    return f"Serving {config.name}, {told}, from {config.base_path}"
