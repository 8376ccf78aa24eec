"""The GPT-2 family: its view of a keras-nlp backbone, and its text functions (Radford et al. 2019)."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from kerasft.backbones.gpt2_packed import packed
from kerasft.backbones.view import Backbone, Mark, Spelling, TextFunctions
from kerasft.errors import KerasftError

_PAD = 0  # GPT-2 has no padding token; the mask keeps this one out
_IN_FRONT = 16  # tokens that lead up to a marked word, its own among them


def view(model) -> Backbone:
    """The view of a `keras_nlp.models.GPT2Backbone`."""
    plain = Backbone(
        family="gpt2",
        hidden_size=model.hidden_dim,
        inputs=_inputs,
        embed=partial(_embed, model),
        bottom=(model.token_embedding, model.position_embedding),
        blocks=tuple(model.transformer_layers),
        run_block=_run_block,
        top=(model.layer_norm,),
        finish=model.layer_norm,
        token_embedding=model.token_embedding,
        model=model,
        decoder=partial(_decoder, model),
    )
    return replace(plain, packed=partial(packed, plain))


def _decoder(model):
    from kerasft.backbones.gpt2_decoder import decoder

    return decoder(model)


def _inputs():
    import keras

    return {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}


def _embed(model, inputs):
    tokens = model.token_embedding(inputs["token_ids"])
    return model.embeddings_dropout(model.embeddings_add((tokens, model.position_embedding(tokens))))


def _run_block(block, hidden, mask):
    return block(hidden, decoder_padding_mask=mask)


def text_functions(folder: Path) -> TextFunctions:
    """Reads the vocabulary of a Keras preset folder, a Hugging Face folder, or one with `vocab.json` and `merges.txt`
    alone.

    Raises:
        KerasftError: no vocabulary, or one that is not GPT-2's sort.
    """
    from kerasft.text.fillings import byte_pair_filling
    from kerasft.text.gpt2 import make_tokenizer
    from kerasft.text.gpt2_pack import pack_for_reading, read_lengths, tokens_up_to
    from kerasft.text.gpt2_vocabulary import read_byte_pairs

    vocabulary = read_byte_pairs(*_files(folder))
    return TextFunctions(
        family="gpt2",
        vocabulary=vocabulary.pieces,
        tokenize=make_tokenizer(vocabulary.merges),
        pack=partial(pack_for_reading, end_id=vocabulary.end_of_text, pad_id=_PAD),
        lengths=read_lengths,
        padding={"token_ids": _PAD, "padding_mask": 0},
        max_length=_max_length(folder),
        pooling="last",
        # There are no segment ids: what leads up to the word is read first.
        mark=lambda ids, behind: Mark(front=[tokens_up_to(ids, behind, _IN_FRONT)]),
        # GPT-2 has no token of its own for a hidden one.
        filling=partial(byte_pair_filling, vocabulary.merges.tokens, vocabulary.end_of_text),
        spelling=Spelling(tuple(token or b"" for token in vocabulary.merges.tokens), vocabulary.end_of_text),
    )


def save_tokenizer(source: Path, target: Path) -> None:
    """Writes the vocabulary of one backbone folder into a Keras preset folder."""
    from keras_nlp.models import GPT2Tokenizer

    vocabulary, merges = (str(path) for path in _files(source))
    GPT2Tokenizer(vocabulary=vocabulary, merges=merges).save_to_preset(str(target))


def _files(folder: Path) -> tuple[Path, Path]:
    """The vocabulary and the merges."""
    assets = folder / "assets" / "tokenizer"
    places = [(folder / "vocab.json", folder / "merges.txt"), (assets / "vocabulary.json", assets / "merges.txt")]
    place = next((files for files in places if all(file.is_file() for file in files)), None)
    if place is None:
        expected = " or ".join(f"{vocabulary} with {merges.name}" for vocabulary, merges in places)
        raise KerasftError(f"Backbone folder {folder} has no vocabulary: expected {expected}.")
    return place


def _max_length(folder: Path) -> int:
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return config.get("n_positions") or config.get("config", {}).get("max_sequence_length") or 1024
