"""The peer: the same model behind FastAPI, as its users write it. Runs in the peer's environment.

    peer/bin/python tests/benchmarks/peer_service.py --model FOLDER --port 8600

POST /predict {"text": "…"} answers with label, score and probabilities. Threads, both of PyTorch and of FastAPI, are
left as they are by default. `--handler def` runs requests in FastAPI's thread pool, as its manual advises for work that
blocks; `--handler async` one after the other in the event loop, as many write it.
"""

import argparse

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

LABELS = ("negative", "positive")


class Question(BaseModel):
    """A request."""

    text: str


class Reply(BaseModel):
    """Its answer."""

    label: str
    score: float
    probabilities: list[float]


def make_app(folder: str, handler: str) -> FastAPI:
    """Makes the service.

    Args:
        folder: Hugging Face's, of the weights; the two-class head is drawn at random, which takes the same time.
        handler: `def` or `async`.
    """
    app = FastAPI()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=torch.float32).eval()

    def answer(text: str) -> Reply:
        with torch.inference_mode():
            tokens = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
            probabilities = model(**tokens).logits.softmax(-1)[0].tolist()
        best = max(range(2), key=probabilities.__getitem__)
        return Reply(label=LABELS[best], score=probabilities[best], probabilities=probabilities)

    if handler == "def":

        @app.post("/predict")
        def predict(question: Question) -> Reply:
            return answer(question.text)

    else:

        @app.post("/predict")
        async def predict(question: Question) -> Reply:
            return answer(question.text)

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Hugging Face folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--handler", choices=("def", "async"), default="def")
    options = parser.parse_args()
    app = make_app(options.model, options.handler)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
