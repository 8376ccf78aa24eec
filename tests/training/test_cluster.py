"""Finding the workers, meeting them, and what a user reads when one is not there."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from kerasft.errors import KerasftError
from kerasft.training.cluster import Cluster, find_cluster, naming_the_dead
from kerasft.training.launch import free_ports, worker_environment
from kerasft.training.reachable import check_reachable
from kerasft.training.slurm import slurm_counts, slurm_hosts


def tf_config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def slurm(nodes, tasks_per_node, tasks, process, **more):
    step = {"NUM_TASKS": str(tasks), "NODELIST": nodes, "TASKS_PER_NODE": tasks_per_node}
    return {**{f"SLURM_STEP_{name}": value for name, value in step.items()}, "SLURM_PROCID": str(process), **more}


# TF_CONFIG


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, {"SLURM_STEP_NUM_TASKS": "1"}])
def test_no_cluster(environment):
    assert find_cluster(environment) is None


def test_workers_from_tf_config():
    found = find_cluster(tf_config({"worker": ["a:1", "b:2"]}, index=1))
    assert found == Cluster(("a:1", "b:2"), 1)
    assert not found.is_chief


def test_a_chief_is_worker_0():
    jobs = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    assert find_cluster(tf_config(jobs, "chief")) == Cluster(("c:3", "a:1", "b:2"), 0)
    assert find_cluster(tf_config(jobs, "chief")).is_chief
    # An index as text is common: shell scripts write it.
    assert find_cluster(tf_config(jobs, "worker", "1")).index == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{worker", "not JSON"),
        ("[1]", r"found '\[1\]'"),
        ('{"cluster": {"worker": "a:1"}}', "found 'a:1' as the addresses"),
        ('{"cluster": {"worker": ["a"]}}', "found 'a' as an address"),
        ('{"cluster": {"worker": ["http://a:1"]}}', "found 'http://a:1'"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "one address twice"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}', "the job 'ps'"),
        ('{"cluster": {"chief": ["a:1", "b:1"]}}', "more than one chief"),
        ('{"cluster": {"worker": ["a:1"]}}', "found None as the task"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "type 'chief'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "worker 1; the cluster has 1"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}', "worker -1"),
    ],
)
def test_a_bad_tf_config_is_one_line(text, found):
    with pytest.raises(KerasftError, match=found) as error:
        find_cluster({"TF_CONFIG": text})
    assert '{"cluster": {"worker": ["host:port", ...]}' in str(error.value)
    assert "\n" not in str(error.value)


# Slurm


def test_tasks_of_a_slurm_step():
    found = find_cluster(slurm("n[9-10]", "2(x2)", 4, 2))
    # Task 2 runs on the second host of the list, n10, though "n10" sorts before "n9".
    assert found == Cluster(("n9:8888", "n9:8889", "n10:8888", "n10:8889"), 2)
    assert found.workers[found.index] == "n10:8888"


def test_a_cyclic_slurm_step_deals_the_tasks_out():
    found = find_cluster(slurm("a,b", "2,1", 3, 1, SLURM_DISTRIBUTION="cyclic"))
    assert found.workers == ("a:8888", "b:8888", "a:8889")


def test_slurm_agrees_with_tensorflows_resolver(monkeypatch):
    import tensorflow as tf

    environment = slurm("n[08-10,12],p3", "2(x3),1(x2)", 8, 5)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    theirs = tf.distribute.cluster_resolver.SlurmClusterResolver(gpus_per_node=2, gpus_per_task=1, auto_set_gpu=False)
    ours = find_cluster(environment)
    assert list(ours.workers) == theirs.cluster_spec().job_tasks("worker")
    assert ours.index == theirs.get_task_info()[1]


def test_slurm_lists():
    assert slurm_hosts("r[1-2]n[08-09],x") == ["r1n08", "r1n09", "r2n08", "r2n09", "x"]
    assert slurm_counts("2(x3),1") == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SLURM_STEP_NUM_TASKS": "2"}, "SLURM_PROCID is not: start the workers with srun"),
        (slurm("n[1-", "2", 2, 0), "host list"),
        (slurm("n[1-2]", "two", 2, 0), "tasks per node"),
        (slurm("n[1-2]", "1", 2, 0), "do not fit together"),
    ],
)
def test_bad_slurm_variables_are_one_line(environment, message):
    with pytest.raises(KerasftError, match=message):
        find_cluster(environment)


# Meeting


def meet(workers, index, seconds, outcomes):
    try:
        check_reachable(workers, index, seconds)
        outcomes[index] = None
    except KerasftError as error:
        outcomes[index] = str(error)


def test_workers_meet_however_late_one_is_and_leave_the_ports_free():
    ports = free_ports(3)
    workers, outcomes = [f"127.0.0.1:{port}" for port in ports], {}
    threads = [threading.Thread(target=meet, args=(workers, index, 20, outcomes)) for index in range(3)]
    threads[0].start()
    threads[1].start()
    time.sleep(0.6)
    assert not outcomes
    threads[2].start()
    for thread in threads:
        thread.join(20)
    assert outcomes == {0: None, 1: None, 2: None}
    for port in ports:
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))


def test_an_absent_worker_is_named_in_time():
    one, two = free_ports(2)
    workers, began = [f"127.0.0.1:{one}", f"127.0.0.1:{two}"], time.monotonic()
    with pytest.raises(KerasftError, match=rf"Worker 1 \(127.0.0.1:{two}\) did not answer within 0.5 s: connection"):
        check_reachable(workers, 0, 0.5)
    assert time.monotonic() - began < 5


def test_one_worker_has_nobody_to_meet():
    check_reachable(["nowhere.invalid:1"], 0, 0)


def test_another_program_at_the_address_is_told_from_a_worker():
    with socket.create_server(("127.0.0.1", 0)) as other:

        def serve():
            visitor, _ = other.accept()
            with visitor:
                visitor.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                visitor.recv(200)

        threading.Thread(target=serve, daemon=True).start()
        workers = [f"127.0.0.1:{free_ports(1)[0]}", f"127.0.0.1:{other.getsockname()[1]}"]
        with pytest.raises(KerasftError, match="another program answers there"):
            check_reachable(workers, 0, 0)


def test_other_workers_at_the_address_are_told_apart():
    here, there = free_ports(2)
    workers, outcomes = [f"127.0.0.1:{here}", f"127.0.0.1:{there}"], {}
    stranger = threading.Thread(target=meet, args=([*workers, "127.0.0.1:9"], 1, 2, outcomes))
    stranger.start()
    with pytest.raises(KerasftError, match="it has another list of workers"):
        check_reachable(workers, 0, 1)
    stranger.join(10)


def test_a_worker_started_twice_is_told():
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(KerasftError, match=f"Worker 0 cannot open its own port {port}.*started twice"):
            check_reachable([f"127.0.0.1:{port}", "127.0.0.1:9"], 0, 1)


# Death

CLUSTER = Cluster(("10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"), 0)


@pytest.mark.parametrize(
    "message",
    [
        "Collective ops is aborted by: reset by peer ... from remote target /job:worker/replica:0/task:2 while calling",
        "{{node of /job:worker/replica:0/task:0}} Collective ops is aborted by: unhealthy /job:worker/replica:0/task:2",
    ],
)
def test_the_dead_worker_is_named(message):
    with (
        pytest.raises(KerasftError, match=r"^Worker 2 \(10.0.0.3:3\) stopped answering.*--resume runs/a$"),
        naming_the_dead(CLUSTER, "runs/a"),
    ):
        raise RuntimeError(message)


def test_a_lost_leader_is_worker_0():
    message = "Collective ops is aborted by: Deadline Exceeded\n\nRPC: /tensorflow.CoordinationService/Heartbeat"
    with pytest.raises(KerasftError, match=r"^Worker 0 "), naming_the_dead(Cluster(CLUSTER.workers, 1), "runs/a"):
        raise RuntimeError(message)


def test_an_error_of_this_worker_alone_is_told_as_it_is():
    with socket.create_server(("127.0.0.1", 0)) as other:
        living = Cluster(("127.0.0.1:1", f"127.0.0.1:{other.getsockname()[1]}"), 0)
        with pytest.raises(RuntimeError, match="bad row"), naming_the_dead(living, "runs/a"):
            raise RuntimeError("{{node of /job:worker/replica:0/task:0}} Collective ops is aborted by: bad row")


def test_a_closed_port_tells_the_dead_worker_where_no_message_does():
    gone = Cluster(("127.0.0.1:1", f"127.0.0.1:{free_ports(1)[0]}"), 0)
    with pytest.raises(KerasftError, match=r"^Worker 1 "), naming_the_dead(gone, "runs/a"):
        raise RuntimeError("Collective ops is aborted by: recvmsg")


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="resource exhausted"), naming_the_dead(CLUSTER, "runs/a"):
        raise RuntimeError("resource exhausted")
    with pytest.raises(RuntimeError, match="aborted"), naming_the_dead(None, "runs/a"):
        raise RuntimeError("Collective ops is aborted by: something")


WORKER = """
import os, signal, sys, time
from kerasft.errors import KerasftError
from kerasft.training import cluster as clusters
from kerasft.training.cluster import connect, find_cluster, naming_the_dead

clusters.HEARTBEAT_SECONDS = 10  # a shorter test
cluster = find_cluster()
strategy = connect(cluster, 60)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
import tensorflow as tf

@tf.function
def total():
    context = tf.distribute.get_replica_context
    return strategy.run(lambda: context().all_reduce("SUM", tf.constant(cluster.index + 1.0)))

try:
    with naming_the_dead(cluster, "runs/a"):
        for step in range(1000):
            print(float(strategy.experimental_local_results(total())[0]), flush=True)
            time.sleep(0.1)
except KerasftError as error:
    print(error, flush=True)
    sys.exit(2)
"""


def test_a_killed_worker_ends_the_other_with_its_name():
    ports = free_ports(2)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, **worker_environment(ports, index), "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=None,  # pytest shows it where the test fails
            text=True,
        )
        for index in range(2)
    ]
    try:
        for worker in workers:
            assert [worker.stdout.readline() for _ in range(2)] == ["3.0\n"] * 2
        workers[1].send_signal(signal.SIGKILL)
        began = time.monotonic()
        said = workers[0].communicate(timeout=60)[0].splitlines()
        assert workers[0].returncode == 2
        assert time.monotonic() - began < 30
        assert said[-1].startswith(f"Worker 1 (127.0.0.1:{ports[1]}) stopped answering. The last checkpoint is kept")
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
