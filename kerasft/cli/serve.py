"""`kerasft serve PATH…`: TensorFlow Serving's API on this machine. Flags are those of `tensorflow_model_server`."""

import importlib.util
import os
import sys
from pathlib import Path

import click

from kerasft.errors import KerasftError

_TRUE, _FALSE = ("true", "t", "1", "yes"), ("false", "f", "0", "no")


class ServeCommand(click.Command):
    """Takes flags as TensorFlow Serving writes them too: `--rest_api_port=8501`, `--enable_batching=true`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [self._flag(argument) for argument in args])

    def _flag(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        name = name.replace("_", "-")
        for option in self.params:
            if not (isinstance(option, click.Option) and option.is_flag and equals):
                continue
            for names, other in ((option.opts, option.secondary_opts), (option.secondary_opts, option.opts)):
                if name in names and value.lower() in _TRUE:
                    return name
                if name in names and other and value.lower() in _FALSE:
                    return other[0]
        return argument


def switch(name: str, default: bool, text: str):
    """A flag with its opposite, `--no-…`."""
    return click.option(f"--{name}/--no-{name}", default=default, show_default=True, help=text)


def file(name: str, text: str):
    """An option that takes a file."""
    return click.option(f"--{name}", metavar="FILE", type=click.Path(path_type=Path), help=text)


def number(name: str, default: float, text: str, most: float | None = None):
    """An option that takes a number from 0 on."""
    kind = click.FloatRange if isinstance(default, float) else click.IntRange
    return click.option(f"--{name}", type=kind(0, most), default=default, show_default=True, help=text)


@click.command(cls=ServeCommand, context_settings={"token_normalize_func": lambda name: name.replace("_", "-")})
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model-base-path", metavar="DIR", type=click.Path(path_type=Path), help="The same as PATH.")
@click.option("--model-name", metavar="NAME", help="What requests call the model (default: its folder's name).")
@file("model-config-file", "The models, as a ModelServerConfig, instead of PATH.")
@number("model-config-file-poll-wait-seconds", 0, "Read that file again after so long; 0: never.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen here; 0.0.0.0: on every network.")
@number("port", 8500, "For gRPC; 0: no gRPC.", 65535)
@number("rest-api-port", 8501, "For REST and the page; 0: neither.", 65535)
@number("rest-api-num-threads", 0, "REST requests that run at a time; 0: 4 a core.")
@number("rest-api-timeout-in-ms", 30_000, "Then a REST request is given up.")
@switch("rest-api-enable-cors-support", False, "Let pages of other origins read the answers.")
@number("grpc-max-threads", 64, "gRPC requests that run at a time.")
@switch("enable-batching", False, "Join requests that come at the same time.")
@file("batching-parameters-file", "How, as BatchingParameters. Needs --enable-batching.")
@switch("enable-per-model-batching-parameters", False, "By each version's batching_params.pbtxt; those without: not.")
@number("file-system-poll-wait-seconds", 1.0, "Look for new versions after so long; 0: only at the start.")
@number("max-num-load-retries", 5, "How often a version that does not load is tried again.")
@number("load-retry-interval-micros", 60_000_000, "Between such tries.")
@switch("allow-version-labels-for-unavailable-models", False, "New labels may name versions not loaded yet.")
@switch("enable-model-warmup", True, "Replay assets.extra/tf_serving_warmup_requests before a version serves.")
@number("num-request-iterations-for-warmup", 1, "How often each of them.")
@switch("enable-signature-method-name-check", False, "Refuse signatures with another API's method name.")
@file("ssl-config-file", "Key and certificates, as an SSLConfig: gRPC with TLS.")
@switch("rest-api-tls", False, "REST with TLS too, which TensorFlow Serving's is not. Needs --ssl-config-file.")
@file("monitoring-config-file", "Whether and where Prometheus reads, as a MonitoringConfig.")
@number("max-request-bytes", 64 * 2**20, "A larger request is refused.")
@number("max-concurrent-requests", 0, "One more is refused, on each side; 0: no limit.")
@number("drain-seconds", 30.0, "What requests under way may take after SIGTERM.")
@switch("page", True, "The page at /, for trying a model in a browser.")
def serve(paths, model_base_path, model_name, model_config_file, enable_batching, batching_parameters_file, **settings):
    """Serve models over TensorFlow Serving's API: gRPC, REST, and a page to try them.

    PATH is a model's folder with its versions, one version's folder, or a folder of models such as saved_models. For
    development, tests and small loads; production is TensorFlow Serving, which takes the same requests, files and
    flags (with _ or - in them). SIGTERM or Ctrl-C: what is under way is answered, then it ends.
    """
    for package in ("grpc", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise KerasftError(f"Serving needs the package {package}, not installed. Run: pip install 'kerasft[serve]'")
    from kerasft.serving.config_files import read_batching_parameters_file
    from kerasft.serving.models import ModelsOptions
    from kerasft.serving.server import DRAINED, UNLOADED, ServeOptions
    from kerasft.serving.server import serve as run

    if model_base_path:
        paths = (*paths, model_base_path)
    configs = _configs(paths, model_name, model_config_file)
    if settings["enable_per_model_batching_parameters"] and not enable_batching:
        raise KerasftError("--enable-per-model-batching-parameters is set without --enable-batching. Add it.")
    if batching_parameters_file and not enable_batching:
        raise KerasftError("--batching-parameters-file is set without --enable-batching. Add it.")
    batching = None
    if enable_batching:
        from kerasft.serving.batching import BatchingParameters

        batching = (
            read_batching_parameters_file(batching_parameters_file)
            if batching_parameters_file
            else BatchingParameters(thread_pool_name="model_server_batch_threads")
        )
    of_models = {name: settings.pop(name) for name in ModelsOptions.__dataclass_fields__ if name in settings}
    models_options = ModelsOptions(**of_models, model_config_file=model_config_file, batching=batching)
    options = ServeOptions(configs, models_options, **_server_settings(settings))
    ending = run(options, _say)
    if ending != DRAINED:
        # Threads are still at work in TensorFlow, and Python would wait for them.
        sys.stderr.flush()
        os._exit(0 if ending == UNLOADED else 1)


def _configs(paths, model_name, model_config_file) -> list:
    from kerasft.serving.config_files import read_model_config_file
    from kerasft.serving.served_paths import configs_of
    from kerasft.serving.status import ServingError

    if not model_config_file:
        if not paths:
            raise KerasftError("Expected a PATH, such as saved_models, or --model-config-file.")
        return configs_of(paths, model_name)
    if paths or model_name:
        extra = "--model-name" if model_name else f"the path {paths[0]}"
        raise KerasftError(f"--model-config-file names the models, so {extra} has no place beside it. Leave out one.")
    try:
        return read_model_config_file(model_config_file)
    except ServingError as error:
        raise KerasftError(f"{model_config_file}: {error.message}") from None


def _server_settings(settings: dict) -> dict:
    from kerasft.serving.config_files import read_monitoring_config_file, read_ssl_config_file

    ssl_config_file, monitoring_config_file = settings.pop("ssl_config_file"), settings.pop("monitoring_config_file")
    if settings["rest_api_tls"] and not ssl_config_file:
        raise KerasftError("--rest-api-tls needs a key and a certificate: pass --ssl-config-file.")
    settings["ssl"] = read_ssl_config_file(ssl_config_file) if ssl_config_file else None
    settings["metrics_path"] = read_monitoring_config_file(monitoring_config_file) if monitoring_config_file else None
    for name, fallback in (("rest_api_num_threads", 4 * (os.cpu_count() or 1)), ("grpc_max_threads", 64)):
        settings[name] = settings[name] or fallback
    return settings


def _say(line: str) -> None:
    # Not on standard output: it is the server's log.
    click.echo(line, err=True)
