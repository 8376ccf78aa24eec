"""A toy GPT-2: the view against keras-nlp's own model, the text functions, a Hugging Face folder."""

import json

import numpy as np
import pytest

from kerasft.backbones.load import family_of, load_backbone, load_text_functions
from kerasft.errors import KerasftError
from tests.toy_gpt2 import train, write_files


def test_the_view_computes_what_the_backbone_does(toy_gpt2):
    import keras
    import keras_nlp

    view = load_backbone(toy_gpt2)
    inputs = view.inputs()
    hidden = view.embed(inputs)
    for block in view.blocks:
        hidden = view.run_block(block, hidden, inputs["padding_mask"])
    model = keras.Model(inputs, view.finish(hidden))

    whole = keras_nlp.models.Backbone.from_preset(str(toy_gpt2))
    rows = {
        "token_ids": np.array([[5, 6, 7, 8], [9, 10, 0, 0]]),
        "padding_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]]),
    }
    np.testing.assert_allclose(model(rows), whole(rows), atol=1e-6)
    assert (view.family, view.hidden_size, len(view.blocks)) == ("gpt2", 16, 2)
    parts = [*view.bottom, *view.blocks, *view.top]
    assert {weight.path for part in parts for weight in part.weights} == {weight.path for weight in whole.weights}


def test_padding_does_not_change_the_last_real_token(toy_gpt2):
    import keras_nlp

    model = keras_nlp.models.Backbone.from_preset(str(toy_gpt2))
    short = model({"token_ids": np.array([[5, 6]]), "padding_mask": np.array([[1, 1]])})
    padded = model({"token_ids": np.array([[5, 6, 0, 0]]), "padding_mask": np.array([[1, 1, 0, 0]])})
    np.testing.assert_allclose(short[:, 1], padded[:, 1], atol=1e-6)


def test_text_functions_of_the_three_sorts_of_folder(toy_gpt2, tmp_path):
    vocabulary, merges = train()
    alone = write_files(tmp_path / "alone", vocabulary, merges)
    hugging_face = write_files(tmp_path / "hugging-face", vocabulary, merges)
    (hugging_face / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 48}))
    texts = ["the film isn't  good\n\nat all", ""]
    rows = []
    for folder, max_length in ((toy_gpt2, 64), (hugging_face, 48), (alone, 1024)):
        functions = load_text_functions(folder)
        assert functions.max_length == max_length
        assert functions.pooling == "last"
        assert functions.vocabulary == tuple(vocabulary)
        segments = [functions.tokenize(texts).ids]
        packed = functions.pack(segments, max_length=16)
        assert packed.keys() == functions.padding.keys()
        rows.append((packed["token_ids"].numpy().tolist(), functions.lengths(segments).numpy().tolist()))
    assert rows[0] == rows[1] == rows[2]
    assert rows[0][0][1][0] == vocabulary["<|endoftext|>"]


def test_a_folder_without_a_vocabulary(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(KerasftError, match=r"expected .*vocab\.json with merges\.txt or .*vocabulary\.json with"):
        load_text_functions(tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(KerasftError, match="found nothing known"):
        family_of(tmp_path)


def test_a_hugging_face_folder_loads(tmp_path):
    from safetensors.numpy import save_file

    vocabulary, merges = train()
    folder = write_files(tmp_path / "gpt2", vocabulary, merges)
    size, width = len(vocabulary), 16
    config = {"model_type": "gpt2", "vocab_size": size, "n_layer": 1, "n_head": 2, "n_embd": width}
    config |= {"n_positions": 32, "resid_pdrop": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {"wte.weight": (size, width), "wpe.weight": (32, width), "ln_f.weight": (width,), "ln_f.bias": (width,)}
    for name, shape in {
        "ln_1": (width,),
        "ln_2": (width,),
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "mlp.c_fc": (width, 4 * width),
        "mlp.c_proj": (4 * width, width),
    }.items():
        shapes |= {f"h.0.{name}.weight": shape, f"h.0.{name}.bias": shape[-1:]}
    draw = np.random.default_rng(0)
    weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors")

    view = load_backbone(folder)
    np.testing.assert_array_equal(view.bottom[0].weights[0], weights["wte.weight"])
    np.testing.assert_array_equal(view.top[0].weights[0], weights["ln_f.weight"])
    assert load_backbone(folder, weights=False).hidden_size == width
