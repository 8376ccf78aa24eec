"""Names that the installed keras-nlp knows, read from its tables without importing it (nor TensorFlow)."""

import importlib.util
import runpy
from pathlib import Path

from kerasft.backbones.catalog import Family


def keras_presets() -> dict[str, tuple[str, Family]]:
    """Every BERT and GPT-2 preset of the installed keras-nlp.

    keras-nlp's presets live in keras_hub, in one module of plain data per family; only these modules are run. Where a
    release keeps them elsewhere, the result is empty and the catalogue's own names remain.

    Returns:
        name -> (`kaggle://` address, family).
    """
    spec = importlib.util.find_spec("keras_hub")
    if spec is None or spec.origin is None:
        return {}
    models = Path(spec.origin).parent / "src" / "models"
    presets = {}
    for family in ("bert", "gpt2"):
        table = models / family / f"{family}_presets.py"
        try:
            rows = runpy.run_path(str(table))["backbone_presets"]
            presets |= {name: (row["kaggle_handle"], family) for name, row in rows.items()}
        except (OSError, ImportError, KeyError, TypeError):
            continue
    return presets
