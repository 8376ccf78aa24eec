"""A run: the folder that `fit` leaves. Enough to evaluate, predict, repeat or export.

recipe.yaml    every key spelt out
run.json       task, scheme, data fingerprint, what was said of the data, versions
backbone/      the backbone's definition and vocabulary, no weights
model.weights.h5
adapted_backbone/  of a task that adapts one: a folder that `--backbone` takes
history.csv    one line an epoch
metrics.json   figures and seconds; written last, so a run without it did not finish
skipped.jsonl  rows left out with --on-bad-row skip
proof_rows.json  some held-out texts, on which an export is proven
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kerasft.atomic import new_file, new_folder, publish
from kerasft.data.prepare import with_columns
from kerasft.errors import KerasftError
from kerasft.tasks import find_task
from kerasft.tasks.task import Scheme, Task, scheme_of
from kerasft.training.recipe import Recipe, make_recipe, recipe_yaml
from kerasft.training.settings import read_settings

WEIGHTS = "model.weights.h5"
ADAPTED = "adapted_backbone"


@dataclass(frozen=True)
class Run:
    """A finished run, by its folder.

    Attributes:
        folder: where it lies.
        recipe: how it went.
        scheme: what the task has learnt of its answers, such as the label names.
        record: `run.json`.
    """

    folder: Path
    recipe: Recipe
    scheme: Scheme
    record: Mapping[str, Any]

    @cached_property
    def task(self) -> Task:
        """The task it learnt, with the text columns that its rows had."""
        return with_columns(find_task(self.recipe.task), self.record["text_columns"])

    @property
    def labels(self) -> tuple[str, ...]:
        """The label names, by id; empty for a task without."""
        return self.scheme.labels

    @property
    def metrics(self) -> dict[str, Any]:
        """`metrics.json`: `task`, `metrics`, `seconds`, `phases`."""
        return read_json(self.folder / "metrics.json")

    @property
    def adapted(self) -> Path | None:
        """The folder of its adapted backbone, which `backbone=` takes; None for a task that does not leave one."""
        folder = self.folder / ADAPTED
        return folder if folder.is_dir() else None

    @cached_property
    def text(self):
        """The text functions of its backbone."""
        from kerasft.backbones.load import load_text_functions

        return load_text_functions(self.folder / "backbone")

    @cached_property
    def network(self):
        """Its layers with their trained weights."""
        from kerasft.backbones.load import load_backbone
        from kerasft.network import full_model

        backbone = load_backbone(self.folder / "backbone", weights=False)
        network = make_network(self.task, self.recipe, backbone, self.text, self.scheme)
        full_model(network).load_weights(self.folder / WEIGHTS)
        return network

    @cached_property
    def answerer(self):
        """What answers for it, a `kerasft.answering.Answerer`: its graph is made once, however often it is asked."""
        from kerasft.answering import run_answerer

        return run_answerer(self)

    def let_go(self) -> None:
        """Frees its network and what answers with it; both are made again when they are asked for."""
        for name in ("network", "answerer"):
            self.__dict__.pop(name, None)

    def evaluate(self, data: Any) -> dict[str, Any]:
        """Figures on labelled data; see `kerasft.evaluate`."""
        from kerasft.answering import evaluate

        return evaluate(self, data)

    def predict(self, texts: Sequence[Any]) -> list[dict[str, Any]]:
        """Answers to texts; see `kerasft.predict`."""
        from kerasft.answering import predict

        return predict(self, texts)

    def export(self, export_dir: str | Path = "saved_models", name: str | None = None) -> Path:
        """Publishes a SavedModel; see `kerasft.export`."""
        from kerasft.export.publish import export

        return export(self, export_dir=export_dir, name=name)


def make_network(task: Task, recipe: Recipe, backbone, text, scheme: Scheme):
    """The layers of a run: a backbone that reads sequences as the task lays them out, with the task's head on it.

    Raises:
        KerasftError: the task packs several texts into a sequence, and the backbone cannot read that.
    """
    from kerasft.network import Network

    if task.packs:
        if backbone.packed is None:
            raise KerasftError(
                f"Task '{task.name}' reads several texts in one sequence, which a {backbone.family} backbone cannot "
                "part. Pass --backbone with one of the GPT-2 family, such as gpt2_base_en."
            )
        backbone = backbone.packed()
    return Network(backbone, make_head(task, recipe, backbone, text, scheme))


def make_head(task: Task, recipe: Recipe, backbone, text, scheme: Scheme):
    """The task's head on a backbone; the family's own pooling where the recipe names none."""
    tied = {"embedding": backbone.token_embedding} if task.tied else {}
    return task.head(backbone.hidden_size, task.outputs(scheme), recipe.pooling or text.pooling, recipe.dropout, **tied)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file of ours."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Writes JSON that people read too; the file is whole or as it was."""
    with new_file(path) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def next_folder(parent: Path, name: str) -> Path:
    """`parent/name-1`, or the next number that is free."""
    taken = [
        int(path.name.removeprefix(f"{name}-"))
        for path in parent.glob(f"{name}-*")
        if path.name[len(name) + 1 :].isdigit()
    ]
    return parent / f"{name}-{max(taken, default=0) + 1}"


@contextlib.contextmanager
def new_run(folder: Path) -> Iterator[Path]:
    """Gives a folder beside `folder` to write a run's definition to; it is renamed to `folder` when that is done.

    Raises:
        KerasftError: there is something there already: a run is never overwritten.
    """
    try:
        with new_folder(folder.parent, "new-run") as beside:
            yield beside
            publish(beside, folder)
    except OSError as error:
        if folder.exists():
            raise KerasftError(f"Run folder {folder} exists and is never overwritten. Pass another --output.") from None
        raise KerasftError(f"Run folder {folder} cannot be made: {error.strerror}.") from None


def save_weights(folder: Path, model) -> None:
    """Writes the weights of a run's full model."""
    with new_file(folder / WEIGHTS) as beside:
        model.save_weights(beside)


def save_definition(folder: Path, recipe: Recipe, record: Mapping[str, Any]) -> None:
    """Writes `recipe.yaml` and `run.json`."""
    with new_file(folder / "recipe.yaml") as beside:
        beside.write_text(recipe_yaml(recipe), encoding="utf-8")
    write_json(folder / "run.json", dict(record))


def keep_scheme(run: Run, scheme: Scheme) -> Run:
    """Writes a run's scheme anew, tuned after training; gives the run that has it."""
    record = {**run.record, "scheme": scheme.as_json()}
    write_json(run.folder / "run.json", record)
    tuned = replace(run, scheme=scheme, record=record)
    # What was built already: a network is not loaded twice.
    tuned.__dict__.update({name: run.__dict__[name] for name in ("task", "text", "network") if name in run.__dict__})
    return tuned


def load_run(folder: str | Path) -> Run:
    """Opens a run.

    Args:
        folder: as `fit` left it.

    Raises:
        KerasftError: it is not there, not a run, or a run that did not finish.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise KerasftError(f"Run folder {folder} is not there.")
    for name in ("recipe.yaml", "run.json"):
        if not (folder / name).is_file():
            raise KerasftError(f"{folder} is not a run of kerasft: it has no {name}.")
    if not (folder / "metrics.json").is_file():
        raise KerasftError(f"Run {folder} did not finish. To go on with it: kerasft fit --resume {folder}")
    return open_run(folder)


def open_run(folder: Path) -> Run:
    """Opens a run whose weights are there; its figures may not be yet."""
    record = read_json(folder / "run.json")
    recipe = make_recipe(read_settings(folder / "recipe.yaml"), str(folder / "recipe.yaml"))
    return Run(folder, recipe, scheme_of(record["scheme"]), record)
