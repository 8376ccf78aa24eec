"""The peer: text classification with Hugging Face Trainer, as its users run it. Runs in the peer's environment.

    peer/bin/python tests/benchmarks/peer_trainer.py --model FOLDER --data train.csv --eval-data dev.csv

The same weights, mean pooling, dropout and linear head as kerasft; batches padded to their longest row; AdamW 0.01
(not on biases and norms), warm-up 0.1, linear decay, clip 1.0. Prints one line of JSON.
"""

import argparse
import csv
import json
import os
import resource
import tempfile
import time

import torch
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)


class MeanPooled(torch.nn.Module):
    """Backbone, mean over the real tokens, dropout 0.1, linear layer."""

    def __init__(self, folder: str, classes: int):
        super().__init__()
        self.backbone = AutoModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32)
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(self.backbone.config.hidden_size, classes)
        torch.nn.init.trunc_normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, input_ids, attention_mask, token_type_ids=None, labels=None):
        states = self.backbone(input_ids, attention_mask, token_type_ids).last_hidden_state
        real = attention_mask.unsqueeze(-1).to(states.dtype)
        logits = self.head(self.dropout((states * real).sum(1) / real.sum(1).clamp(min=1.0))).float()
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


class Rows(torch.utils.data.Dataset):
    """Tokenised rows of a `text,label` CSV file."""

    def __init__(self, path: str, tokenizer, max_length: int, labels: list[str] | None = None):
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.labels = labels or sorted({row["label"] for row in rows})
        self.ids = [self.labels.index(row["label"]) for row in rows]
        self.tokens = tokenizer([row["text"] for row in rows], truncation=True, max_length=max_length)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return {**{name: values[index] for name, values in self.tokens.items()}, "labels": self.ids[index]}


class StepClock(TrainerCallback):
    """Seconds of each update, batches and all: from the end of the one before, or from the epoch's start."""

    def __init__(self):
        self.seconds = []

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.began = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        now = time.monotonic()
        self.seconds.append(now - self.began)
        self.began = now


def seconds_since_exec() -> float:
    """Seconds since this process began, the interpreter's start and the imports included (Linux)."""
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Hugging Face folder")
    parser.add_argument("--data", required=True)
    parser.add_argument("--eval-data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32", help="bf16: autocast")
    parser.add_argument("--pooling", choices=["mean", "cls"], default="mean", help="cls: the stock head")
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--group-by-length", action="store_true")
    order.add_argument("--in-order", action="store_true", help="rows as they stand in the file")
    parser.add_argument("--max-steps", type=int, default=-1)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    set_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    train = Rows(options.data, tokenizer, options.max_length)
    held_out = Rows(options.eval_data, tokenizer, options.max_length, train.labels)
    if options.pooling == "mean":
        model = MeanPooled(options.model, len(train.labels))
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            options.model, num_labels=len(train.labels), dtype=torch.float32
        )
    order = "sequential" if options.in_order else "group_by_length" if options.group_by_length else "random"
    settings = TrainingArguments(
        output_dir=tempfile.gettempdir(),  # nothing is saved
        num_train_epochs=options.epochs,
        max_steps=options.max_steps,
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
        train_sampling_strategy=order,
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    clock = StepClock()
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=train,
        eval_dataset=held_out,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())},
        callbacks=[clock],
    )
    began = time.monotonic()
    trainer.train()
    trained = time.monotonic() - began
    accuracies = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    steps = len(clock.seconds)
    rows = steps * options.batch_size if options.max_steps > 0 else len(train) * options.epochs
    print(
        json.dumps(
            {
                "epoch_accuracy": accuracies,
                "accuracy": accuracies[-1],
                "wall_seconds": round(seconds_since_exec(), 2),
                "train_seconds": round(trained, 2),
                "step_seconds": [round(value, 4) for value in clock.seconds],
                "examples_per_second": round(rows / sum(clock.seconds), 2),
                "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
                "cpu_seconds": round(time.process_time(), 2),
                "threads": torch.get_num_threads(),
            }
        )
    )


if __name__ == "__main__":
    main()
