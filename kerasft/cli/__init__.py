"""The command line: a lazy group. A command's module is imported when it is named, TensorFlow when it is used."""

import importlib
import io
import os
import sys

import click

from kerasft.errors import KerasftError, did_you_mean
from kerasft.training.stopping import Stopped
from kerasft.version import __version__

# Name of the command -> its one line of help, so that `kerasft --help` imports none of them.
COMMANDS = {
    "fit": "Fine-tune a backbone on labelled text and publish the SavedModel.",
    "launch": "Start several local workers of one training run.",
    "evaluate": "Measure a run or an export on labelled data.",
    "predict": "Answer texts with a run or an export.",
    "export": "Publish a run as the next version of a SavedModel.",
    "serve": "Serve exports over TensorFlow Serving's API, with a page to try them.",
    "bench": "Put load on a served model, and measure it.",
    "promote": "Point a label, such as stable, at a version of an export.",
    "check": "Prove that a stock TensorFlow Serving can run an export.",
    "tasks": "List the tasks.",
    "recipes": "List the recipes with their measured scores, or print one.",
    "backbones": "List the backbones, or fetch one.",
    "tokens": "Show the tokens of texts, as training and serving see them.",
}


class LazyGroup(click.Group):
    """A click group that imports a command only to run it or to show its own help."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"kerasft.cli.{name}"), name)

    def resolve_command(self, ctx, args):
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise KerasftError(f"Command '{args[0]}' is unknown.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kerasft")
def group() -> None:
    """Fine-tune BERT and GPT-2 on labelled text; leave one SavedModel from raw text to answers."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line. A user's mistake is one line on standard error and exit status 2; Ctrl-C is 130."""
    # TensorFlow's start-up chatter is for its developers. What a user sets wins.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # A lone surrogate (an undecodable byte of an argument) has no UTF-8: show it escaped rather than fall over it.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        group.main(args=arguments, prog_name="kerasft", standalone_mode=False)
    except KerasftError as error:
        _fail(str(error))
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.UsageError as error:
        at = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
        _fail(f"{error.format_message().rstrip('.?')}.{at}")
    except click.ClickException as error:
        _fail(error.format_message())
    except Stopped as stop:
        # The run has said already how to go on.
        sys.exit(stop.exit_status)
    except (KeyboardInterrupt, click.Abort):
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing more to say, and nothing to complain of at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _fail(f"The system refused{where}: {error.strerror or error}.")


def _fail(message: str) -> None:
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
