"""The recipe: how one run goes. The same keys in YAML, in `--set key=value` and in Python."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import ConfigDict, Field

from kerasft.errors import KerasftError, did_you_mean

_COLUMN = "_column"


class Phase(pydantic.BaseModel):
    """One stretch of training with one set of unfrozen blocks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unfrozen: Literal["head", "all"] | Annotated[int, Field(ge=1)]
    """`head`, the number of top blocks, or `all` (the embeddings too)."""
    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The peak, reached after the warm-up."""


class Recipe(pydantic.BaseModel):
    """How one run goes. Every field has a default but `task`; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    backbone: str = "minilm"
    columns: dict[str, str] = Field(default_factory=dict)
    """The task's column -> the file's; `text_column: review` is the same as `columns: {text: review}`."""
    labels: tuple[str, ...] | None = None
    """The label names in order; the data's own when absent."""
    max_length: Annotated[int, Field(ge=4)] = 128
    """Tokens kept of each row, special tokens included."""
    pooling: Literal["mean", "cls", "last"] | None = None
    """`mean` for BERT, `last` for GPT-2 when absent."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Of the pooled vector; the backbone keeps its own."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs a row by rows / (classes * rows of its class)."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Global: rows of one update over all devices; 16 for little data, else 32, when absent."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Of the last phase."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Of the last phase."""
    phases: tuple[Phase, ...] | None = Field(default=None, min_length=1)
    """All phases spelt out; the gradual plan when absent."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The learning rate of each block as a share of that of the block above it."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of a phase's steps in which the learning rate rises from 0."""
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    patience: Annotated[int, Field(ge=1)] = 3
    """Epochs without a better headline figure before a phase stops."""
    eval_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the rows held out when no eval data is given."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @pydantic.model_validator(mode="before")
    @classmethod
    def _gather_columns(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        columns = dict(values.get("columns") or {})
        rest = {}
        for key, value in values.items():
            if key.endswith(_COLUMN):
                columns[key.removesuffix(_COLUMN)] = str(value)
            elif key != "columns":
                rest[key] = value
        return {**rest, "columns": columns}

    @pydantic.field_validator("labels", mode="before")
    @classmethod
    def _split_labels(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",")]
        if isinstance(value, (list, tuple)):
            value = tuple(str(name) for name in value)
            if len(set(value)) < max(len(value), 2):
                raise ValueError(f"expected at least two different labels, found {', '.join(value)}")
        return value

    @pydantic.model_validator(mode="after")
    def _phases_say_all(self) -> "Recipe":
        if self.phases and (self.epochs or self.learning_rate):
            raise ValueError("'phases' spells out every phase: leave 'epochs' and 'learning_rate' away, or 'phases'")
        return self


def make_recipe(settings: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """Checks settings and fills in the defaults.

    Args:
        settings: recipe keys and values.
        where: named in messages.

    Raises:
        KerasftError: an unknown key (with the nearest), or a value that does not fit.
    """
    try:
        return Recipe(**settings)
    except pydantic.ValidationError as error:
        # A mistyped key is the cause where the right one is then missing: it comes first.
        problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise KerasftError(_explain(problem, where)) from None


def _explain(problem: Mapping[str, Any], where: str) -> str:
    place = ".".join(str(part) for part in problem["loc"] if not str(part).startswith(("constrained", "literal")))
    if problem["type"] == "extra_forbidden":
        *parents, key = problem["loc"]
        known = [*(Phase if parents else Recipe).model_fields, *([] if parents else ["text_column", "label_column"])]
        return f"Key '{place}' of {where} is unknown.{did_you_mean(str(key), known)}"
    if problem["type"] == "missing":
        return f"Key '{place}' is missing in {where}."
    reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not place:
        return f"{where[0].upper()}{where[1:]}: {reason}."
    return f"Key '{place}' of {where}: expected {reason}, found {problem['input']!r}."


def read_settings(path: str | Path) -> dict[str, Any]:
    """Reads the settings in a YAML file.

    Raises:
        KerasftError: no such file, not YAML, or not a table of keys.
    """
    path = Path(path)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise KerasftError(f"Recipe {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = "" if line is None else f" at line {line + 1}"
        raise KerasftError(f"Recipe {path} is not valid YAML{at}.") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise KerasftError(f"Recipe {path}: expected 'key: value' lines, found {type(found).__name__}.")
    return found


def parse_assignments(assignments: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Reads `key=value` pairs; a value is YAML, so that lists and phases can be given too.

    Raises:
        KerasftError: a pair without `=`, or a value that is not YAML.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise KerasftError(f"--set expects key=value, found {assignment!r}.")
        try:
            # Labels and columns are names: `labels=yes,no` and `text_column=1` must not turn into something else.
            named = (key.strip() == "labels" and not value.startswith("[")) or key.strip().endswith(_COLUMN)
            settings[key.strip()] = value if named else yaml.safe_load(value)
        except yaml.YAMLError:
            raise KerasftError(f"--set {key.strip()}: {value!r} is not a YAML value.") from None
    return settings


def parse_columns(assignments: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Reads `text_column=review` pairs where nothing but columns can be set.

    Returns:
        Task column -> the file's column.

    Raises:
        KerasftError: a pair that names no column.
    """
    settings = parse_assignments(assignments)
    for key in settings:
        if not key.endswith(_COLUMN):
            raise KerasftError(f"--set {key}: only columns can be set here, as text_column=review.")
    return {key.removesuffix(_COLUMN): value for key, value in settings.items()}


def recipe_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, every key spelt out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
