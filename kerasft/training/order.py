"""What a call of `fit` asks for: a new run, or the rest of one that was left in the middle."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasft import run as runs
from kerasft.backbones.setting import is_new
from kerasft.data.prepare import Sets, starter_file
from kerasft.errors import KerasftError
from kerasft.recipes import recipe_path
from kerasft.tasks import find_task
from kerasft.tasks.task import Task
from kerasft.training.recipe import Machine, Recipe, make_recipe
from kerasft.training.settings import read_settings
from kerasft.training.source import check_backbone

_SOURCES = ("data", "eval_data", "test_data")
_SCHEDULE = ("plan", "epochs", "learning_rate")


@dataclass(frozen=True)
class Order:
    """A run to make or to go on with.

    Attributes:
        recipe: of the run.
        folder: of the run.
        sources: `data`, `eval_data`, `test_data`: what `kerasft.data.read.read_rows` takes, or None.
        on_bad_row: `error` or `skip`.
        record: `run.json` of the run to go on with; empty for a new one.
        finished: its training is done.
    """

    recipe: Recipe
    folder: Path
    sources: Mapping[str, Any]
    on_bad_row: str
    record: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False

    def check_data(self, sets: Sets) -> None:
        """Raises `KerasftError` when the rows are not those that the run began with."""
        for name, known in self.record.get("data", {}).items():
            part = {"train": sets.train, "eval": sets.held_out, "test": sets.test}[name]
            if part is None or part.fingerprint() != known["sha256"]:
                found = "none" if part is None else f"{len(part):,}"
                raise KerasftError(
                    f"Run {self.folder} cannot go on: its {name} rows have changed since it began "
                    f"({known['rows']:,} rows then, {found} now). Give it the same file, or start a new run."
                )

    def described_sources(self) -> dict[str, Any]:
        """The sources for `run.json`: absolute paths; `memory` for what cannot be read again."""
        return {name: _described(source) for name, source in self.sources.items()}


def new_order(
    task: str | None,
    backbone: str | None,
    recipe: str | Path | Mapping[str, Any] | None,
    seed: int | None,
    settings: Mapping[str, Any],
    output: str | Path | None,
    sources: Mapping[str, Any],
    on_bad_row: str,
) -> Order:
    """The order for a new run.

    Raises:
        KerasftError: a setting that does not fit, no data for a task without starter data, or a run folder that exists.
    """
    made = _gather(task, backbone, recipe, seed, settings)
    found = find_task(made.task)
    check_backbone(made)
    folder = Path(output) if output else runs.next_folder(Path("runs"), found.name)
    if folder.exists():
        raise KerasftError(
            f"Run folder {folder} exists and is never overwritten. Pass another --output"
            + (f", or go on with it: --resume {folder}." if (folder / "run.json").is_file() else ".")
        )
    if sources["data"] is None:
        sources = {**sources, "data": starter_file(found)}
        if sources["data"] is None:
            raise KerasftError(f"Task '{found.name}' has no starter data. Pass --data with columns {_columns(found)}.")
    return Order(made, folder, sources, on_bad_row)


def resumed_order(
    folder: str | Path, named: Mapping[str, Any], settings: Mapping[str, Any], sources: Mapping[str, Any]
) -> Order:
    """The order to go on with a run.

    Args:
        folder: the run's.
        named: the arguments of `fit` that only a new run takes, by name.
        settings: recipe keys; only those of the machine may change.
        sources: given now; they stand in for those that the run remembers.

    Raises:
        KerasftError: no such run, or something that would change what it learns.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        state = "is not a run of kerasft" if folder.exists() else "is not there"
        raise KerasftError(f"Run {folder} {state}: nothing to resume. Leave --resume away to start a new run.")
    for name, value in named.items():
        if value is not None:
            raise KerasftError(f"A resumed run keeps its own {name}: leave it away, or start a new run.")
    for key in settings:
        if key not in Machine.model_fields:
            raise KerasftError(
                f"A resumed run keeps its own '{key}': only {', '.join(Machine.model_fields)} can be set, "
                "which do not change what is learnt."
            )
    record = runs.read_json(folder / "run.json")
    remembered = record["sources"]
    found = {name: sources.get(name) if sources.get(name) is not None else remembered[name] for name in _SOURCES}
    finished = (folder / "metrics.json").is_file()
    for name, source in found.items():
        if source in ("memory", "-") and sources.get(name) is None and not finished:
            raise KerasftError(f"Run {folder} read its {name} from memory or a pipe: pass the same rows again.")
    recipe = make_recipe(
        {**read_settings(folder / "recipe.yaml"), **settings},
        str(folder / "recipe.yaml"),
    )
    return Order(recipe, folder, found, record["on_bad_row"], record, finished)


def _described(source: Any) -> Any:
    if source is None or source == "-":
        return source
    if isinstance(source, (str, Path)):
        return str(Path(source).absolute())
    return "memory"


def _gather(task, backbone, recipe, seed, settings) -> Recipe:
    """One recipe from a file or mapping, the named arguments and the settings; the later win."""
    where = str(recipe) if isinstance(recipe, (str, Path)) else "the recipe"
    keys = dict(read_settings(recipe_path(recipe)) if isinstance(recipe, (str, Path)) else recipe or {})
    named = {"task": task, "backbone": backbone, "seed": seed}
    keys.update({name: value for name, value in named.items() if value is not None})
    keys.update(settings)
    if "task" not in keys:
        raise KerasftError("No task given. Pass --task NAME (`kerasft tasks` lists them), or 'task:' in the recipe.")
    made = make_recipe(keys, where)
    return make_recipe({**_defaults(find_task(made.task), keys), **keys}, where)


def _defaults(task: Task, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The task's own keys; those that say how long to train give way to a plan or phases that the user names, and to
    what a backbone with random weights needs."""
    own = dict(task.defaults)
    if is_new(str(keys.get("backbone", own.get("backbone", "")))):
        own = {key: value for key, value in own.items() if key not in _SCHEDULE} | {"plan": "scratch"}
    named = "plan" in keys or keys.get("phases") is not None
    return {key: value for key, value in own.items() if not (named and key in _SCHEDULE)}


def _columns(task: Task) -> str:
    needed = [name for name in task.columns if name not in task.optional_columns]
    return ", ".join(f"'{name}'" for name in needed)
