"""The recipe: how one run goes. The same keys in YAML, in `--set key=value` and in Python."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import ConfigDict, Field

from kerasft.errors import KerasftError, did_you_mean

PLANS = ("gradual", "full", "head", "ulmfit", "auto", "adapt", "scratch")

_COLUMN = "_column"


class Phase(pydantic.BaseModel):
    """One stretch of training with one set of unfrozen blocks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unfrozen: Literal["head", "all"] | Annotated[int, Field(ge=1)]
    """`head`, the number of top blocks, or `all` (the embeddings too)."""
    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The peak, reached after the warm-up."""
    rows: Annotated[int, Field(ge=1)] | None = None
    """At most so many rows, drawn once for the phase; all when absent."""
    lora: Annotated[int, Field(ge=1)] | None = None
    """Rank of the low-rank factors trained in place of the unfrozen blocks' kernels."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """The run's when absent."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """The run's when absent."""


class Learning(pydantic.BaseModel):
    """How the weights move."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Global: rows of one update over all devices; 16 for little data, else 32, when absent."""
    batch_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens of one update, padding included: long rows then come in smaller batches."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Micro-batches into which each device cuts its share of a batch, to save memory."""
    plan: str = "gradual"
    """A ready-made list of phases: `gradual`, `full`, `head`, `top-N`, `ulmfit`, `auto`, `adapt` or `scratch`."""
    phases: tuple[Phase, ...] | None = Field(default=None, min_length=1)
    """All phases spelt out; those of `plan` when absent."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Of the plan's last phase."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Of the plan's last phase."""
    optimizer: Literal["adamw", "adam", "adafactor", "lion", "sgd", "adadelta"] = "adamw"
    schedule: Literal["linear", "cosine", "constant", "one-cycle"] = "linear"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of a phase's steps in which the learning rate rises from 0."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The learning rate of each block as a share of that of the block above it."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Momentum of a moving average of the weights, which is what is then watched and kept; such as 0.999."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Epochs without a better headline figure before a phase stops."""

    @pydantic.field_validator("plan")
    @classmethod
    def _plan_is_known(cls, plan: str) -> str:
        if plan not in PLANS and not re.fullmatch("top-[1-9][0-9]*", plan):
            raise ValueError(f"{', '.join(PLANS)} or top-N, such as top-3")
        return plan


class Machine(pydantic.BaseModel):
    """What the run may use of the machines it is on. None of it changes what is learnt, but for rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Literal["auto", "none", "mirrored", "multiworker"] = "auto"
    """`auto`: several workers when TF_CONFIG or Slurm names them, else all visible GPUs, else one device."""
    devices: Annotated[int, Field(ge=1)] | None = None
    """GPUs to use, or, where there is none, logical CPU devices to make."""
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """Of the products inside the blocks; weights, logits and loss are float32. `auto`: bf16 where it is faster."""
    xla: Literal["auto", "on", "off"] = "auto"
    gradient_checkpointing: bool = False
    """Run each block again on the way back instead of keeping its activations."""
    cache_gb: Annotated[float, Field(ge=0)] | None = None
    """Most gigabytes that the prefix cache may take; 0 switches it off, absent leaves the disk 1 GiB."""
    save_steps: Annotated[int, Field(ge=1)] | None = None
    """Updates between two checkpoints; there is one at the end of each epoch and phase anyway."""
    keep: Annotated[int, Field(ge=1)] = 1
    """Checkpoints kept while the run goes."""

    @pydantic.field_validator("xla", mode="before")
    @classmethod
    def _on_and_off_are_words(cls, value: Any) -> Any:
        """YAML 1.1 reads `xla: on` as true."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class Writing(pydantic.BaseModel):
    """How a task that writes is asked, and how what is served writes where a request does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    template: str | None = None
    """How a row's fields become a prompt and its answer, such as `"{source}\n=> {target}"`; the task's when absent."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 64
    """Tokens of an answer at most."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, and are no part of it."""
    beams: Annotated[int, Field(ge=1)] = 1
    """Of beam search; 1 for the knobs below."""
    length_penalty: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """Of beam search: the score is the log-probability by the length to this power."""
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """0: the best token each time."""
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    export_weights: Literal["float32", "bf16"] = "float32"
    """Of the matrices of an export."""
    eval_texts: Annotated[int, Field(ge=0)] = 200
    """Held-out rows that are answered once training is done, for the figures of the texts; 0 for none."""
    run_programs: bool = False
    """Run programs that were written against their rows' tests, in processes under limits, for pass@1."""

    @pydantic.field_validator("stop", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        value = (value,) if isinstance(value, str) else value
        if isinstance(value, (list, tuple)) and not all(value):
            raise ValueError("texts of one character or more")
        return value


_GROUPS: dict[str, type[pydantic.BaseModel]] = {"learning": Learning, "machine": Machine, "writing": Writing}


class Recipe(pydantic.BaseModel):
    """How one run goes. Every field has a default but `task`; an unknown key is refused.

    Users write one flat table of keys; here those of a kind are grouped.
    """

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
    eval_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the rows held out when no eval data is given."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    vocabulary: Annotated[int, Field(ge=1)] | None = None
    """Pieces of a vocabulary that is learnt from the training texts, for a backbone from scratch; its family's own when
    absent."""
    learning: Learning = Learning()
    machine: Machine = Machine()
    writing: Writing = Writing()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _group(cls, values: Any) -> Any:
        """Sorts the flat keys into their groups, and `text_column` into `columns`."""
        if not isinstance(values, Mapping):
            return values
        columns = values.get("columns") or {}
        if not isinstance(columns, Mapping):
            raise ValueError(f"'columns' is a table such as {{text: review}}, found {columns!r}")
        grouped: dict[str, Any] = {"columns": dict(columns)}
        for key, value in values.items():
            home = next((group for group, model in _GROUPS.items() if key in model.model_fields), None)
            if home:
                grouped.setdefault(home, {})[key] = value
            elif key.endswith(_COLUMN):
                grouped["columns"][key.removesuffix(_COLUMN)] = str(value)
            elif key != "columns":
                grouped[key] = value
        return grouped

    @pydantic.field_validator("labels", mode="before")
    @classmethod
    def _split_labels(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",")]
        if isinstance(value, (list, tuple)):
            value = tuple(str(name) for name in value)
            if not all(value) or len(set(value)) < max(len(value), 1):
                raise ValueError(f"expected different names, found {', '.join(value) or 'none'}")
        return value

    @pydantic.model_validator(mode="after")
    def _phases_say_all(self) -> "Recipe":
        given = [key for key in ("epochs", "learning_rate") if getattr(self.learning, key)]
        if self.learning.plan != "gradual":
            given.append("plan")
        if self.learning.phases and given:
            raise ValueError(f"'phases' spells out every phase: leave '{given[0]}' away, or 'phases'")
        return self

    def having(self, **changes: Any) -> "Recipe":
        """The same recipe with other values of some (flat) keys, which are taken as they are."""
        updates: dict[str, Any] = {}
        for key, value in changes.items():
            home = next((group for group, model in _GROUPS.items() if key in model.model_fields), None)
            if home:
                group = updates.get(home, getattr(self, home))
                updates[home] = group.model_copy(update={key: value})
            else:
                updates[key] = value
        return self.model_copy(update=updates)


def recipe_keys() -> list[str]:
    """Every key that a user may write."""
    own = [name for name in Recipe.model_fields if name not in _GROUPS]
    return [*own, *(name for group in _GROUPS.values() for name in group.model_fields)]


def make_recipe(settings: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """Checks settings and fills in the defaults.

    Args:
        settings: recipe keys and values.
        where: named in messages.

    Raises:
        KerasftError: an unknown key (with the nearest), or a value that does not fit.
    """
    for key in _GROUPS:
        if key in settings:
            raise KerasftError(f"Key '{key}' of {where} is unknown: all keys stand side by side, in one flat table.")
    try:
        return Recipe(**settings)
    except pydantic.ValidationError as error:
        # A mistyped key is the cause where the right one is then missing: it comes first.
        problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise KerasftError(_explain(problem, where)) from None


def _explain(problem: Mapping[str, Any], where: str) -> str:
    parts = [str(part) for part in problem["loc"] if str(part) not in _GROUPS]
    place = ".".join(part for part in parts if not part.startswith(("constrained", "literal")))
    if problem["type"] == "extra_forbidden":
        *parents, key = parts
        known = [*Phase.model_fields] if parents else [*recipe_keys(), "text_column", "label_column"]
        return f"Key '{place}' of {where} is unknown.{did_you_mean(str(key), known)}"
    if problem["type"] == "missing":
        return f"Key '{place}' is missing in {where}."
    reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not place:
        return f"{where[0].upper()}{where[1:]}: {reason}."
    reason = re.sub("greater than or equal to ([0-9.]+)", r"\1 or more", reason)
    if parts[-1:] == ["phases"]:
        reason = "a list of one phase or more"
    elif "unfrozen" in parts:
        reason = "'head', 'all' or a number of top blocks, 1 or more"
    names = [*PLANS, "top-3"] if parts[-1:] == ["plan"] else re.findall("'([^']+)'", reason)
    near = did_you_mean(str(problem["input"]), names)
    # All that would do has been named already.
    near = "." if near.startswith(" Known") else f".{near}"
    return f"Key '{place}' of {where}: expected {reason}, found {problem['input']!r}{near}"


def recipe_yaml(recipe: Recipe) -> str:
    """The recipe as YAML: one flat table, every key spelt out."""
    values = recipe.model_dump(mode="json")
    for group in _GROUPS:
        values.update(values.pop(group))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
