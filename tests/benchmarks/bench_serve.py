"""`kerasft serve` on one model: latency, batching, a PyTorch service of the same model, and its start.

    python tests/benchmarks/bench_serve.py --export saved_models/sentiment \
        --peer-python peer/bin/python --model MINILM_FOLDER

- latency: one short sentence, one request after the other: in process (TF_SessionRun through export/session.py), over
  gRPC and over REST on loopback, in turns of ten.
- batching: what the model gives in process, by rows of a run and threads; the server with 16 clients over gRPC,
  unbatched and with several batching parameter files. What joins requests can be no faster than the first table.
- peer: peer_service.py (FastAPI, transformers, PyTorch), its own API, against our REST: 1 client and 16, in turns.
- start: seconds from the process' start to its first answer over gRPC, and its memory after 100 answers.

Loads come from kerasft/serving/load, in this process: on the cores that the server has too, for ours and for the peer.
Prints tables in Markdown and writes serve.json after each part. Nothing else may run on the machine.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from served import INPUTS, Server, kerasft_server, peer_server, put

from kerasft.serving.load.endpoint import Asked
from kerasft.serving.load.payloads import ROW, grpc_payloads, rest_payloads
from kerasft.serving.load.plan import Plan
from kerasft.serving.load.sentences import SENTENCES, SHORT

SENTENCE = "The second half is better than the first."
CLIENTS = 16
# Rows of a batch at most, microseconds that its first request waits, batches that run at a time.
BATCHING = ((16, 0, 1), (16, 0, 2), (16, 1000, 2), (16, 5000, 1), (8, 0, 2), (4, 0, 2))
IN_PROCESS = (*((rows, 1) for rows in (1, 2, 4, 8, 16)), *((rows, 2) for rows in (1, 2, 4, 8, 16)), (1, 16))


def texts_of(kind: str) -> list[str]:
    """`short` sentences, or `mixed` lengths; shuffled, so that a batch of mixed ones has some of each."""
    texts = list(SHORT if kind == "short" else SENTENCES)
    random.Random(0).shuffle(texts)
    return texts


def latency(options: argparse.Namespace, name: str) -> dict:
    """Milliseconds of one request after the other, each way."""
    import grpc

    from kerasft.export.session import Session

    asked, row = Asked(name), [[{"text": SENTENCE}]]
    [message], [body] = grpc_payloads(row, INPUTS, asked), rest_payloads(row, INPUTS, asked, ROW)
    with kerasft_server(options.export, name) as server, Session(version_folder(options.export)) as session:
        channel = grpc.insecure_channel(server.grpc)
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        connection = http.client.HTTPConnection(server.rest.removeprefix("http://"))

        def over_rest() -> None:
            connection.request("POST", f"/v1/models/{name}:predict", body)
            assert b"predictions" in connection.getresponse().read()

        ways = {
            "in process": lambda: session.run("serving_default", {"text": [SENTENCE]}),
            "gRPC": lambda: predict(message),
            "REST": over_rest,
        }
        for way in ways.values():
            for _ in range(20):
                way()
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.turns):
            for way, ask in ways.items():
                taken[way] += [timed(ask) for _ in range(10)]
        connection.close()
        channel.close()
    found = {
        way: {"median": statistics.median(times), "p95": statistics.quantiles(times, n=20)[-1], "requests": len(times)}
        for way, times in taken.items()
    }
    base = found["in process"]["median"]
    print("\n| one sentence | median, ms | p95, ms | median against in process |\n|---|---|---|---|")
    for way, each in found.items():
        print(f"| {way} | {each['median']:.2f} | {each['p95']:.2f} | {each['median'] / base:.3f} |", flush=True)
    return found | {"ratio": {way: found[way]["median"] / base for way in ("gRPC", "REST")}}


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of a call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def in_process(options: argparse.Namespace) -> dict:
    """Texts a second of the C++ session, by rows of a run and threads that run it."""
    from kerasft.export.session import Session

    found: dict[str, dict[str, float]] = {}
    with Session(version_folder(options.export)) as session:
        for kind in ("short", "mixed"):
            texts = texts_of(kind)
            rates = {}
            for rows, threads in IN_PROCESS:
                texts_per_second(session, texts, rows, threads, 0.5)
                rates[f"{rows} x {threads}"] = texts_per_second(session, texts, rows, threads, options.seconds / 2)
            found[kind] = rates
    print("\n| in process: rows of a run x threads | short, texts/s | mixed, texts/s |\n|---|---|---|")
    for key in found["short"]:
        print(f"| {key} | {found['short'][key]:.1f} | {found['mixed'][key]:.1f} |", flush=True)
    return found


def texts_per_second(session, texts: Sequence[str], rows: int, threads: int, seconds: float) -> float:
    """Runs the session from some threads for a while."""
    endless, done = itertools.cycle(texts), []
    drawing = threading.Lock()
    until = time.perf_counter() + seconds

    def work() -> None:
        while time.perf_counter() < until:
            with drawing:
                batch = list(itertools.islice(endless, rows))
            session.run("serving_default", {"text": batch})
            done.append(len(batch))

    began = time.perf_counter()
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - began)


def batching(options: argparse.Namespace, name: str) -> dict:
    """Answers a second with 16 clients over gRPC, without and with batching; unbatched before and after."""
    found = {"in_process": in_process(options), "served": []}
    print("\n| rows, wait in µs, threads | short, answers/s | p50, p99 ms | mixed, answers/s | p50, p99 ms |")
    print("|---|---|---|---|---|")
    for setting in (None, *BATCHING, None):
        measured = {}
        with tempfile.NamedTemporaryFile("w", suffix=".config") as file:
            flags = batching_flags(setting, file)
            with kerasft_server(options.export, name, *flags) as server:
                for kind in ("short", "mixed"):
                    measured[kind] = put(server, "gRPC", texts_of(kind), closed(CLIENTS, options.seconds)).as_dict()
        found["served"].append({"setting": setting, **measured})
        cells = [
            f"{each['throughput']:.1f} | {each['latency']['p50']:.0f}, {each['latency']['p99']:.0f}"
            for each in measured.values()
        ]
        title = "unbatched" if setting is None else ", ".join(map(str, setting))
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    for kind in ("short", "mixed"):
        rates = [(each["setting"], each[kind]["throughput"]) for each in found["served"]]
        alone = statistics.mean(rate for setting, rate in rates if setting is None)
        best, rate = max((each for each in rates if each[0] is not None), key=lambda each: each[1])
        most = max(found["in_process"][kind].values())
        found[f"best_{kind}"] = {"setting": best, "ratio": rate / alone, "in_process_most": most / alone}
        words = f"{rate / alone:.2f} x unbatched; the most that the model gives in process is {most / alone:.2f} x"
        print(f"\n{kind}: best with {best}, {words}", flush=True)
    return found


def batching_flags(setting: tuple[int, int, int] | None, file) -> list[str]:
    """Writes a batching parameters file; gives the flags for it."""
    if setting is None:
        return []
    rows, wait, threads = setting
    values = {"max_batch_size": rows, "batch_timeout_micros": wait, "num_batch_threads": threads}
    for key, value in (values | {"max_enqueued_batches": 64}).items():
        file.write(f"{key} {{ value: {value} }}\n")
    file.flush()
    return ["--enable-batching", "--batching-parameters-file", file.name]


def closed(clients: int, seconds: float) -> Plan:
    return Plan(concurrency=clients, seconds=seconds, warm_up=1.0, deadline=60.0)


def peer(options: argparse.Namespace, name: str, best: tuple[int, int, int]) -> dict:
    """Answers a second over REST, ours and the peer's, in turns."""
    found: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as running, tempfile.NamedTemporaryFile("w", suffix=".config") as file:
        start = running.enter_context
        servers: dict[str, tuple[Server, str]] = {
            "kerasft serve": (start(kerasft_server(options.export, name)), "REST"),
            f"kerasft serve, batching {best}": (
                start(kerasft_server(options.export, name, *batching_flags(best, file))),
                "REST",
            ),
            "FastAPI, def": (start(peer_server(options.peer_python, options.model, "def")), "peer"),
            "FastAPI, async def": (start(peer_server(options.peer_python, options.model, "async")), "peer"),
        }
        for _, (kind, clients) in itertools.product(
            range(options.rounds), itertools.product(("short", "mixed"), (1, CLIENTS))
        ):
            for who, (server, api) in servers.items():
                rate = put(server, api, texts_of(kind), closed(clients, options.seconds * 0.8)).throughput
                found.setdefault(f"{kind}, {clients}", {}).setdefault(who, []).append(rate)
        memory = {who: server.memory_mb() for who, (server, _) in servers.items()}
    print(f"\n| answers/s, mean of {options.rounds} | {' | '.join(servers)} | ours against the better peer |")
    print("|---" * (len(servers) + 2) + "|")
    ratios = {}
    for load, rates in found.items():
        means = {who: statistics.mean(each) for who, each in rates.items()}
        ours, theirs = (
            max(rate for who, rate in means.items() if who.startswith("FastAPI") == is_peer)
            for is_peer in (False, True)
        )
        ratios[load] = ours / theirs
        cells = " | ".join(f"{rate:.1f}" for rate in means.values())
        print(f"| {load} client{'s' if not load.endswith(' 1') else ''} | {cells} | {ours / theirs:.2f} |", flush=True)
    cells = " | ".join(f"{each['now']:.0f}" for each in memory.values())
    print(f"| resident memory then, MB | {cells} | |", flush=True)
    return {"rates": found, "ratio": ratios, "memory_mb": memory}


def start(options: argparse.Namespace, name: str) -> dict:
    """Seconds to the first answer, three times; memory after the first 100."""
    seconds, memory = [], []
    weights = sum(path.stat().st_size for path in Path(version_folder(options.export), "variables").iterdir()) / 1e6
    for _ in range(3):
        with kerasft_server(options.export, name) as server:
            seconds.append(server.seconds)
            put(server, "gRPC", texts_of("mixed"), Plan(concurrency=1, requests=99, seconds=600, warm_up=0))
            memory.append(server.memory_mb())
    limit = 2 * weights + 400
    now, peak = (statistics.median(each[key] for each in memory) * 1.048576 for key in ("now", "peak"))
    print("\n| start | measured | goal |\n|---|---|---|")
    print(f"| first answer, s, by start | {', '.join(f'{each:.2f}' for each in seconds)} | 8 |")
    print(f"| resident after 100 answers, MB of 10^6 | {now:.0f}, peak {peak:.0f} | {limit:.0f} |", flush=True)
    return {"seconds": seconds, "memory_mib": memory, "weights_mb": weights, "limit_mb": limit}


def version_folder(export: str) -> str:
    """The latest version's folder of a base path."""
    return str(max((path for path in Path(export).iterdir() if path.name.isdigit()), key=lambda path: int(path.name)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--export", required=True, help="base path: the folder with the versions")
    parser.add_argument("--peer-python", help="interpreter of the peer's environment; needed for the part peer")
    parser.add_argument("--model", help="Hugging Face folder of MiniLM, for the peer")
    parser.add_argument("--parts", nargs="+", default=["start", "latency", "batching", "peer"])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--turns", type=int, default=30, help="of ten requests, of the part latency")
    parser.add_argument("--rounds", type=int, default=2, help="of the part peer")
    parser.add_argument("--results", default="serve.json")
    options = parser.parse_args()
    if "peer" in options.parts and not (options.peer_python and options.model):
        parser.error("the part peer needs --peer-python and --model")
    return options


def main() -> None:
    options = arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name = Path(options.export).resolve().name
    found: dict = {"options": vars(options), "parts": {}}
    parts = {"start": start, "latency": latency, "batching": batching}
    for part in options.parts:
        began = time.monotonic()
        if part == "peer":
            best = found["parts"].get("batching", {}).get("best_short", {}).get("setting", BATCHING[0])
            found["parts"][part] = peer(options, name, tuple(best))
        else:
            found["parts"][part] = parts[part](options, name)
        print(f"\n({part}: {time.monotonic() - began:.0f} s)", flush=True)
        Path(options.results).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
