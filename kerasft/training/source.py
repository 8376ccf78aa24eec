"""The backbone that a run begins with: files from somewhere, or one from scratch by the recipe's seed.

One from scratch is a definition, a folder without weights such as every run has, and a seed: whoever has both makes
the very same network. So nothing of it is kept but what a run keeps anyway.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kerasft.backbones import layout
from kerasft.backbones.locate import locate, resolve
from kerasft.backbones.setting import EXAMPLE, is_new
from kerasft.backbones.view import Backbone
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError
from kerasft.run import Run
from kerasft.tasks.task import Task
from kerasft.training.progress import Say
from kerasft.training.recipe import Recipe

_ROWS = 4096


def check_backbone(recipe: Recipe) -> None:
    """Looks at the name alone: nothing is downloaded or made.

    Raises:
        KerasftError: no such backbone, or a vocabulary of one's own for one that has its own.
    """
    resolve(recipe.backbone)
    if recipe.vocabulary is not None and not is_new(recipe.backbone):
        raise KerasftError(
            f"Key 'vocabulary' is for a backbone from scratch; '{recipe.backbone}' has its own. Leave it out, or pass "
            f"--backbone '{EXAMPLE}'."
        )


def find_source(recipe: Recipe, begun: Path | None, report: Say) -> Path | None:
    """What comes from elsewhere, downloaded when needed; TensorFlow is not imported.

    Args:
        recipe: of the run.
        begun: the folder of a run that is gone on with.
        report: told of what takes time.

    Returns:
        The backbone's folder. Of one from scratch its definition where the run has begun, else a folder with its
        family's vocabulary; None where that is to be learnt.

    Raises:
        KerasftError: it cannot be had.
    """
    if not is_new(recipe.backbone):
        return locate(recipe.backbone, report)
    if begun is not None:
        return begun / "backbone"
    return locate(recipe.backbone, report, weights=False) if recipe.vocabulary is None else None


def define_source(recipe: Recipe, found: Path | None, task: Task, train: Rows, place: Path, report: Say) -> Path:
    """The backbone's folder; that of one from scratch is written now, and has no weights.

    Args:
        recipe: of the run.
        found: by `find_source`.
        task: which of the columns are read.
        train: the rows that a vocabulary is learnt from.
        place: a folder to write to.
        report: told of what is learnt.

    Raises:
        KerasftError: no vocabulary can be learnt.
        OSError: the disk is full.
    """
    if not is_new(recipe.backbone) or (found is not None and (found / layout.CONFIG).is_file()):
        return found
    from kerasft.backbones.new import learn_vocabulary, parse_new, write_definition

    new = parse_new(recipe.backbone)
    if found is None:
        found = place / "vocabulary"
        pieces = learn_vocabulary(new, _texts(task, train), recipe.vocabulary, found)
        fewer = f" ({recipe.vocabulary:,} wanted: no more occur twice)" if pieces < recipe.vocabulary else ""
        report(f"Vocabulary: {pieces:,} pieces, learnt from the training rows{fewer}.")
    return write_definition(new, found, place / "backbone")


def load_source(recipe: Recipe, source: Path) -> Backbone:
    """Builds the layers that a run begins with.

    Args:
        recipe: of the run.
        source: its backbone's folder, of `define_source`.

    Raises:
        KerasftError: the files do not fit each other.
    """
    from kerasft.backbones.load import load_backbone
    from kerasft.backbones.new import load_new

    return load_new(source, recipe.seed) if is_new(recipe.backbone) else load_backbone(source)


def vocabulary_fingerprint(source: Path) -> str:
    """SHA-256 of a backbone folder's vocabulary, in hexadecimal, twice as long as one."""
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in layout.vocabulary_files(source)]
    return "".join(digests * 2)[:128]


def save_adapted(run: Run, folder: Path) -> None:
    """Writes a run's trained backbone as a folder that `--backbone` takes.

    Raises:
        OSError: the disk is full.
    """
    from kerasft.backbones.load import save_backbone

    new = is_new(run.recipe.backbone)
    source = run.folder / "backbone" if new else locate(run.recipe.backbone)
    save_backbone(source, run.network.backbone, folder, weights=not new)


def _texts(task: Task, rows: Rows) -> Iterator[str]:
    """What a network reads of rows: all text columns, and the answers where they are texts that it writes."""
    written = [task.label_column] if task.writes and task.label_column else []
    for name in (*task.text_columns, *task.beside, *written):
        if name not in rows.table.column_names:
            continue
        column = rows.table.column(name)
        for start in range(0, len(column), _ROWS):
            yield from column[start : start + _ROWS].to_pylist()
