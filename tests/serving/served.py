"""Models of the conformance cases, loaded and served over gRPC, with a client's channel to them."""

import asyncio
import contextlib
import threading
from collections.abc import Collection
from pathlib import Path

import grpc

from kerasft.serving.base_path import Policy
from kerasft.serving.grpc_server import GrpcOptions, make_grpc
from kerasft.serving.loaded import LoadedVersion, load
from kerasft.serving.models import ModelConfig, Models, ModelsOptions


def start_models(checked: Collection[str] = (), **bases: Path) -> Models:
    """Serves version 123 of each base path; those in `checked` with their method names checked."""
    configs = [ModelConfig(name, str(base), policy=Policy("specific", versions=(123,))) for name, base in bases.items()]

    def load_one(name, version, folder):
        return load(name, version, folder, check_method_names=name in checked)

    models = Models(configs, ModelsOptions(file_system_poll_wait_seconds=0), load_one)
    models.start()
    return models


def load_123(name: str, base: Path) -> LoadedVersion:
    return load(name, 123, base / "00000123")


@contextlib.contextmanager
def served(models, health=None, observe=None, **options):
    """A server in a thread of its own. Gives a channel to it, for the generated stubs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start():
        server, port = make_grpc(models, GrpcOptions(address="127.0.0.1:0", **options), health, observe)
        await server.start()
        return server, port

    try:
        server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            channel.loop = loop
            yield channel
        asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def refused(call, request, **options) -> tuple[str, str]:
    """Gives the code's name and the message of a call that must fail."""
    try:
        answer = call(request, timeout=30, **options)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError(f"expected an error, got {answer}")
