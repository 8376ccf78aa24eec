"""Figures and answers as a terminal shows them."""

from kerasft.cli.show import shortened, show_figures


def test_a_figure_at_several_depths_is_one_line(capsys):
    show_figures({"recall_at_k": {"1": 0.5, "5": 0.75}, "mrr": 0.6, "rows": 4, "finds": "text_pair"}, "rows")
    printed = capsys.readouterr().out
    assert "recall_at_k        1: 0.5000   5: 0.7500\n" in printed
    assert "mrr                0.6000\n" in printed


def test_only_vectors_are_shortened():
    answer = {"text": "a", "embedding": [0.12341] * 384, "probabilities": [0.1, 0.9], "spans": ["x"] * 30}
    found = shortened(answer)
    assert found["embedding"] == [0.1234, 0.1234, 0.1234, 0.1234, "… 384 numbers"]
    assert {name: found[name] for name in ("text", "probabilities", "spans")} == {
        name: answer[name] for name in ("text", "probabilities", "spans")
    }
