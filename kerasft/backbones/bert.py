"""The BERT family: its view of a keras-nlp backbone, and its text functions (Devlin et al. 2019)."""

import json
from functools import partial
from pathlib import Path

from kerasft.backbones.view import Backbone, Mark, TextFunctions
from kerasft.errors import KerasftError

_START, _END, _PAD, _UNKNOWN, _MASK = "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"


def view(model) -> Backbone:
    """The view of a `keras_nlp.models.BertBackbone`."""
    return Backbone(
        family="bert",
        hidden_size=model.hidden_dim,
        inputs=_inputs,
        embed=partial(_embed, model),
        bottom=(
            model.token_embedding,
            model.position_embedding,
            model.segment_embedding,
            model.embeddings_layer_norm,
        ),
        blocks=tuple(model.transformer_layers),
        run_block=_run_block,
        top=(),
        finish=lambda hidden: hidden,
        token_embedding=model.token_embedding,
        model=model,
    )


def _inputs():
    import keras

    names = ("token_ids", "segment_ids", "padding_mask")
    return {name: keras.Input((None,), dtype="int32", name=name) for name in names}


def _embed(model, inputs):
    tokens = model.token_embedding(inputs["token_ids"])
    positions = model.position_embedding(tokens)
    segments = model.segment_embedding(inputs["segment_ids"])
    return model.embeddings_dropout(model.embeddings_layer_norm(model.embeddings_add((tokens, positions, segments))))


def _run_block(block, hidden, mask):
    return block(hidden, padding_mask=mask)


def text_functions(folder: Path) -> TextFunctions:
    """Reads the vocabulary and the casing of a Keras preset folder, a Hugging Face folder, or one with `vocab.txt`
    alone.

    Raises:
        KerasftError: no vocabulary, or one without BERT's special tokens.
    """
    from kerasft.text.bert import make_tokenizer
    from kerasft.text.fillings import wordpiece_filling
    from kerasft.text.pack import pack, packed_lengths

    vocabulary = _vocabulary(folder)
    casing = _casing(folder, vocabulary)
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    special = {"start_id": ids[_START], "end_id": ids[_END]}
    return TextFunctions(
        family="bert",
        vocabulary=vocabulary,
        tokenize=make_tokenizer(vocabulary, unknown=_UNKNOWN, **casing),
        pack=partial(pack, pad_id=ids[_PAD], **special),
        lengths=packed_lengths,
        padding={"token_ids": ids[_PAD], "segment_ids": 0, "padding_mask": 0},
        max_length=_max_length(folder),
        pooling="mean",
        # The second of two texts has segment id 1; of one text, the marked word.
        mark=lambda ids, behind: Mark(input="segment_ids"),
        filling=partial(wordpiece_filling, vocabulary, _MASK),
    )


def save_tokenizer(source: Path, target: Path) -> None:
    """Writes vocabulary and casing of one backbone folder into a Keras preset folder."""
    from keras_nlp.models import BertTokenizer

    vocabulary = _vocabulary(source)
    casing = _casing(source, vocabulary)
    BertTokenizer(vocabulary=list(vocabulary), lowercase=casing["lowercase"]).save_to_preset(str(target))
    # What Keras' own settings have no place for.
    settings = {
        "do_lower_case": casing["lowercase"],
        "strip_accents": casing["strip_accents"],
        "tokenize_chinese_chars": casing["split_cjk"],
    }
    (target / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _vocabulary(folder: Path) -> tuple[str, ...]:
    from kerasft.text.vocabulary import read_vocabulary

    places = [folder / "vocab.txt", folder / "assets" / "tokenizer" / "vocabulary.txt"]
    place = next((path for path in places if path.is_file()), None)
    if place is None:
        raise KerasftError(f"Backbone folder {folder} has no vocabulary: expected {places[0]} or {places[1]}.")
    return read_vocabulary(place)


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _casing(folder: Path, vocabulary) -> dict:
    """Lower-casing, accent stripping and ideograph splitting, from whichever file says so."""
    tokenizer = _read_json(folder / "tokenizer.json")
    normalizer = tokenizer.get("normalizer") or {}
    if normalizer.get("type") == "BertNormalizer":
        return {
            "lowercase": normalizer["lowercase"],
            "strip_accents": normalizer["strip_accents"],
            "split_cjk": normalizer["handle_chinese_chars"],
        }
    options = _read_json(folder / "tokenizer_config.json")
    lowercase = options.get("do_lower_case")
    if lowercase is None:
        lowercase = tokenizer.get("config", {}).get("lowercase")
    if lowercase is None:
        # Nothing says: a vocabulary of an uncased model has no piece with a capital but the special tokens.
        lowercase = not any(piece != piece.lower() for piece in vocabulary if piece[:1] not in "[<")
    return {
        "lowercase": bool(lowercase),
        "strip_accents": options.get("strip_accents"),
        "split_cjk": options.get("tokenize_chinese_chars", True),
    }


def _max_length(folder: Path) -> int:
    config = _read_json(folder / "config.json")
    inner = config.get("config", {})
    return config.get("max_position_embeddings") or inner.get("max_sequence_length") or 512
