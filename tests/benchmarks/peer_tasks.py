"""The peer of bench_tasks.py: a Hugging Face Trainer script for any of its tasks. Runs in the peer's environment.

    peer/bin/python tests/benchmarks/peer_tasks.py --task regression --model FOLDER --data train.csv --eval-data dev.csv

Weights, dropout, linear head, optimizer and schedule as in peer_trainer.py; mean pooling too, where the answer is about
a whole text. The held-out rows are measured after each epoch, with scikit-learn and SciPy or as peer_tokens.py says.
Prints one line of JSON. A new task is one entry in KINDS.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_tokens import (
    PerToken,
    first_answer,
    question_figures,
    tag_figures,
    tag_ids,
    tag_names,
    tagged_words,
    windows,
)
from peer_trainer import MeanPooled, StepClock
from peer_vectors import PairVectors, TextPairs, collate_pairs, pair_figures, pair_loss
from scipy import special, stats
from sklearn import metrics
from task_rows import labels_of, read_rows
from transformers import (
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)


class Examples(torch.utils.data.Dataset):
    """Tokenised texts, or pairs of texts, with their targets."""

    def __init__(self, rows: list[dict], kind: "Kind", learnt: Any, tokenizer, max_length: int):
        self.rows = rows
        self.targets = [kind.target(row, learnt) for row in rows]
        pairs = [row["text_pair"] for row in rows] if "text_pair" in rows[0] else None
        self.tokens = tokenizer([row["text"] for row in rows], pairs, truncation=True, max_length=max_length)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return {**{name: values[index] for name, values in self.tokens.items()}, "labels": self.targets[index]}


@dataclass(frozen=True)
class Kind:
    """What differs from task to task.

    Attributes:
        learn: training rows -> what all rows are read with, such as the label names.
        outputs: what was learnt -> the number of logits.
        target: (row, what was learnt) -> int, float, or a list of them: of the row, or for `examples` to place.
        loss: (logits float[B, C] or [B, T, C], targets) -> a scalar.
        figures: (logits float64[N, C] or [N, T, C], the held-out examples, what was learnt) -> figures.
        examples: (rows, kind, what was learnt, tokenizer, max_length) -> a dataset with `rows` and `targets`.
        network: (folder, number of logits) -> a module that takes the examples' tokens and gives `logits`.
        collate: tokenizer -> what makes a batch of examples.
    """

    learn: Callable[[list[dict]], Any]
    outputs: Callable[[Any], int]
    target: Callable[[dict, Any], Any]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    figures: Callable[[np.ndarray, Any, Any], dict[str, float]]
    examples: Callable[..., torch.utils.data.Dataset] = Examples
    network: Callable[[str, int], torch.nn.Module] = MeanPooled
    collate: Callable[[Any], Callable] = DataCollatorWithPadding


def classification_figures(logits: np.ndarray, held_out: Examples, names: list[str]) -> dict[str, float]:
    """Accuracy, and F1 averaged over all classes."""
    chosen = logits.argmax(-1)
    return {
        "accuracy": float(metrics.accuracy_score(held_out.targets, chosen)),
        "macro_f1": float(
            metrics.f1_score(held_out.targets, chosen, labels=range(len(names)), average="macro", zero_division=0)
        ),
    }


CLASSIFICATION = Kind(
    learn=lambda rows: sorted({row["label"] for row in rows}),
    outputs=len,
    target=lambda row, names: names.index(row["label"]),
    loss=torch.nn.functional.cross_entropy,
    figures=classification_figures,
)


def scale_of(rows: list[dict]) -> tuple[float, float]:
    """Mean and deviation of the scores: at a rate of 5e-5 a new head is slow to find their mean by itself."""
    scores = [float(row["score"]) for row in rows]
    return float(np.mean(scores)), float(np.std(scores))


def regression_figures(logits: np.ndarray, held_out: Examples, scale: tuple[float, float]) -> dict[str, float]:
    """Correlations (0 where all answers are the same), and the error in the units of the data."""
    truth = np.array([float(row["score"]) for row in held_out.rows])
    values = logits[:, 0] * scale[1] + scale[0]
    pearson, spearman = (of(truth, values).statistic for of in (stats.pearsonr, stats.spearmanr))
    return {
        "pearson": float(np.nan_to_num(pearson)),
        "spearman": float(np.nan_to_num(spearman)),
        "r2": float(metrics.r2_score(truth, values)),
        "rmse": float(metrics.root_mean_squared_error(truth, values)),
    }


REGRESSION = Kind(
    learn=scale_of,
    outputs=lambda scale: 1,
    target=lambda row, scale: (float(row["score"]) - scale[0]) / scale[1],
    loss=lambda logits, scores: torch.nn.functional.mse_loss(logits.squeeze(-1), scores),
    figures=regression_figures,
)


def best_threshold(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the best F1 of one label; one half, as with kerasft, where fewer than 5 rows have it."""
    if truth.sum() < 5:
        return 0.5
    precision, recall, thresholds = metrics.precision_recall_curve(truth, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return float(thresholds[f1[:-1].argmax()])  # the curve's last point has no threshold


def multi_label_figures(logits: np.ndarray, held_out: Examples, names: list[str]) -> dict[str, float]:
    """F1 with thresholds tuned per label on these very rows, F1 with one half for all, and mean average precision."""
    truth = np.array(held_out.targets, bool)
    probabilities = special.expit(logits)
    tuned = np.array([best_threshold(truth[:, place], probabilities[:, place]) for place in range(len(names))])
    present = truth.any(axis=0)
    found = {"map": float(metrics.average_precision_score(truth[:, present], probabilities[:, present]))}
    for suffix, thresholds in {"": tuned, "_at_half": 0.5}.items():
        chosen = probabilities >= thresholds
        for average in ("micro", "macro"):
            value = metrics.f1_score(truth, chosen, average=average, zero_division=0)
            found[f"{average}_f1{suffix}"] = float(value)
    return found


MULTI_LABEL = Kind(
    learn=lambda rows: sorted({label for row in rows for label in row["labels"]}),
    outputs=len,
    target=lambda row, names: [float(name in row["labels"]) for name in names],
    loss=torch.nn.functional.binary_cross_entropy_with_logits,
    figures=multi_label_figures,
)

TOKEN_CLASSIFICATION = Kind(
    learn=lambda rows: sorted({label for row in rows for label in labels_of(row)}),
    outputs=lambda labels: len(tag_names(labels)),
    target=tag_ids,
    loss=lambda logits, tags: torch.nn.functional.cross_entropy(logits.flatten(0, 1), tags.flatten()),
    figures=tag_figures,
    examples=tagged_words,
    network=PerToken,
    collate=DataCollatorForTokenClassification,
)

QUESTION_ANSWERING = Kind(
    learn=lambda rows: None,
    outputs=lambda learnt: 2,
    target=first_answer,
    # The classes are the tokens; the mean of both sides' losses.
    loss=torch.nn.functional.cross_entropy,
    figures=question_figures,
    examples=windows,
    network=PerToken,
)

EMBEDDING = Kind(
    learn=lambda rows: None,
    outputs=lambda learnt: 0,
    target=lambda row, learnt: float(row["score"]),
    loss=pair_loss,
    figures=pair_figures,
    examples=TextPairs,
    network=PairVectors,
    collate=collate_pairs,
)

KINDS = {
    "text-classification": CLASSIFICATION,
    "text-pair": CLASSIFICATION,
    "regression": REGRESSION,
    "multi-label": MULTI_LABEL,
    "token-classification": TOKEN_CLASSIFICATION,
    "question-answering": QUESTION_ANSWERING,
    "embedding": EMBEDDING,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", required=True, choices=list(KINDS))
    parser.add_argument("--model", required=True, help="Hugging Face folder")
    parser.add_argument("--data", required=True)
    parser.add_argument("--eval-data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32", help="bf16: autocast")
    parser.add_argument("--group-by-length", action="store_true")
    return parser.parse_args()


def settings_of(options: argparse.Namespace) -> TrainingArguments:
    """As in peer_trainer.py."""
    return TrainingArguments(
        output_dir=tempfile.gettempdir(),  # nothing is saved
        num_train_epochs=options.epochs,
        learning_rate=options.lr,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        weight_decay=0.01,
        warmup_steps=0.1,  # below 1 it is a share of the steps
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        bf16=options.precision == "bf16",
        use_cpu=True,
        seed=options.seed,
        train_sampling_strategy="group_by_length" if options.group_by_length else "random",
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def main() -> None:
    options = arguments()
    set_seed(options.seed)
    kind = KINDS[options.task]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    rows, held_out_rows = (read_rows(Path(path)) for path in (options.data, options.eval_data))
    learnt = kind.learn(rows)
    train, held_out = (
        kind.examples(part, kind, learnt, tokenizer, options.max_length) for part in (rows, held_out_rows)
    )
    epochs: list[dict[str, float]] = []

    def measure(found) -> dict[str, float]:
        epochs.append(kind.figures(np.asarray(found.predictions, np.float64), held_out, learnt))
        return epochs[-1]

    clock = StepClock()
    trainer = Trainer(
        model=kind.network(options.model, kind.outputs(learnt)),
        args=settings_of(options),
        train_dataset=train,
        eval_dataset=held_out,
        data_collator=kind.collate(tokenizer),
        compute_loss_func=lambda outputs, targets, num_items_in_batch=None: kind.loss(outputs["logits"], targets),
        compute_metrics=measure,
        callbacks=[clock],
    )
    began = time.monotonic()
    trainer.train()
    trained = time.monotonic() - began
    print(
        json.dumps(
            {
                "epochs": epochs,
                "train_seconds": round(trained, 2),
                "examples_per_second": round(len(train) * options.epochs / sum(clock.seconds), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
