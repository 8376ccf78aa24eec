"""Asks a served `sentiment` model over REST, synchronously or with asyncio. One file, to copy into a service.

    pip install httpx2
    python rest_client.py "A joyless film." "Warm, sly and very funny."
    python rest_client.py --asyncio --url https://models.example.com --deadline 2 "A joyless film."

One client for the life of the process: it keeps its connections open. A refused or lost request is asked again,
later and later (a prediction changes nothing, so asking twice is safe), until the deadline, which holds for all tries
together.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from urllib.parse import quote

import httpx2

# Full or starting (503), or told so by a proxy. 504 is not among them: the time is over.
AGAIN = {429, 502, 503}


class PredictionError(Exception):
    """The server's own words, or why there was no answer."""


def waits(retries: int, first: float = 0.1, longest: float = 2.0):
    """Yields the seconds before each retry: doubled each time, and random in part, so that clients come one by one."""
    for attempt in range(retries):
        yield random.uniform(0.5, 1.0) * min(longest, first * 2**attempt)


def answers(response: httpx2.Response) -> list[dict]:
    """Reads label, score and probabilities of each text.

    Raises:
        PredictionError: the server's error.
    """
    try:
        found = response.json()
    except ValueError:
        raise PredictionError(f"HTTP {response.status_code}, and no JSON: is this a model server?") from None
    if response.status_code != 200:
        raise PredictionError(f"HTTP {response.status_code}: {found.get('error', found)}")
    return found["predictions"]


class Sentiment:
    """A client for one model, to be used from any thread.

    Args:
        url: of the server, as `http://127.0.0.1:8501`.
        model: its name.
        deadline: seconds for one call, all tries included.
        retries: at most so many, after the first try.
    """

    def __init__(self, url: str, model: str = "sentiment", deadline: float = 5.0, retries: int = 4):
        self.path, self.deadline, self.retries = f"/v1/models/{quote(model, safe='')}:predict", deadline, retries
        self.http = httpx2.Client(base_url=url, limits=httpx2.Limits(max_connections=32))

    def predict(self, texts: list[str]) -> list[dict]:
        """Asks for all texts in one request.

        Returns:
            A dict with label, score and probabilities for each text, in order.

        Raises:
            PredictionError: no answer in time, or the server's error.
        """
        until, pauses = time.monotonic() + self.deadline, waits(self.retries)
        while True:
            left = until - time.monotonic()
            try:
                if left <= 0:
                    raise httpx2.ReadTimeout("")
                response = self.http.post(self.path, json={"instances": texts}, timeout=left)
                if response.status_code not in AGAIN:
                    return answers(response)
                why = f"HTTP {response.status_code}"
            except httpx2.TimeoutException:
                raise PredictionError(f"no answer within {self.deadline:g} s") from None
            except httpx2.TransportError as error:
                why = str(error) or type(error).__name__
            pause = next(pauses, None)
            if pause is None or time.monotonic() + pause >= until:
                raise PredictionError(f"gave up: {why}")
            time.sleep(pause)

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()


class AsyncSentiment:
    """The same for asyncio: any number of calls at once in one loop."""

    def __init__(self, url: str, model: str = "sentiment", deadline: float = 5.0, retries: int = 4):
        self.path, self.deadline, self.retries = f"/v1/models/{quote(model, safe='')}:predict", deadline, retries
        self.http = httpx2.AsyncClient(base_url=url, limits=httpx2.Limits(max_connections=32), timeout=None)

    async def predict(self, texts: list[str]) -> list[dict]:
        """As `Sentiment.predict`."""
        try:
            return await asyncio.wait_for(self._predict(texts), self.deadline)
        except asyncio.TimeoutError:
            raise PredictionError(f"no answer within {self.deadline:g} s") from None

    async def _predict(self, texts: list[str]) -> list[dict]:
        pauses = waits(self.retries)
        while True:
            try:
                response = await self.http.post(self.path, json={"instances": texts})
                if response.status_code not in AGAIN:
                    return answers(response)
                why = f"HTTP {response.status_code}"
            except httpx2.TransportError as error:
                why = str(error) or type(error).__name__
            pause = next(pauses, None)
            if pause is None:
                raise PredictionError(f"gave up: {why}")
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Closes the connections."""
        await self.http.aclose()


async def ask_asynchronously(texts: list[str], **settings) -> list[dict]:
    """Asks for each text in a request of its own, all at once."""
    client = AsyncSentiment(**settings)
    try:
        found = await asyncio.gather(*(client.predict([text]) for text in texts))
    finally:
        await client.close()
    return [answer for (answer,) in found]


def ask(texts: list[str], **settings) -> list[dict]:
    """Asks for all texts in one request."""
    client = Sentiment(**settings)
    try:
        return client.predict(texts)
    finally:
        client.close()


def main() -> int:
    """Prints one line of JSON for each text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--url", default=os.environ.get("SERVING_URL", "http://127.0.0.1:8501"))
    parser.add_argument("--model", default=os.environ.get("SERVING_MODEL", "sentiment"))
    parser.add_argument(
        "--deadline", type=float, default=float(os.environ.get("SERVING_DEADLINE", "5")), help="seconds"
    )
    parser.add_argument("--retries", type=int, default=4)
    parser.add_argument("--asyncio", action="store_true", help="a request for each text, all at once")
    given = vars(parser.parse_args())
    texts, at_once = given.pop("texts"), given.pop("asyncio")
    try:
        found = asyncio.run(ask_asynchronously(texts, **given)) if at_once else ask(texts, **given)
    except PredictionError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    for text, answer in zip(texts, found, strict=True):
        shown = {key: answer[key] for key in ("label", "score", "probabilities")}
        print(json.dumps({"text": text, **shown}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
