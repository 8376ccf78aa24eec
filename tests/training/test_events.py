import numpy as np
import tensorflow as tf

from kerasft.training import events
from kerasft.training.events import EventFile


def read(path):
    return list(tf.compat.v1.train.summary_iterator(str(path)))


def test_the_file_begins_as_tensorboard_expects(tmp_path):
    file = EventFile(tmp_path / "run", first_step=41)
    file.close()
    version, start = read(file.path)
    assert file.path.name.startswith("events.out.tfevents.")
    assert version.file_version == "brain.Event:2"
    assert version.step == 0
    assert start.session_log.status == start.session_log.START
    assert start.step == 41


def test_scalars_come_back(tmp_path):
    file = EventFile(tmp_path)
    file.scalars(7, {"train/loss": 0.25, "train/gradient_norm": np.float32(2.0)})
    file.scalars(8, {"train/loss": float("nan")})
    file.scalars(9, {})
    file.close()
    seventh, eighth = read(file.path)[2:]
    assert seventh.step == 7
    assert seventh.wall_time > 1e9
    assert {value.tag: value.simple_value for value in seventh.summary.value} == {
        "train/loss": 0.25,
        "train/gradient_norm": 2.0,
    }
    assert np.isnan(eighth.summary.value[0].simple_value)


def test_a_histogram_comes_back(tmp_path):
    values = np.random.default_rng(0).normal(size=1000)
    file = EventFile(tmp_path)
    file.histogram(3, "update_size_log10/head", [*values, np.nan, -np.inf])
    file.histogram(3, "nothing", [np.inf])
    file.histogram(4, "one", [2.0])
    file.close()
    spread, one = (event.summary.value[0] for event in read(file.path)[2:])
    assert spread.tag == "update_size_log10/head"
    assert spread.histo.num == sum(spread.histo.bucket) == 1000
    assert np.isclose(spread.histo.sum, values.sum())
    assert np.isclose(spread.histo.sum_squares, (values**2).sum())
    assert spread.histo.min == values.min()
    assert spread.histo.bucket_limit[-1] == values.max()
    below = np.searchsorted(np.sort(values), spread.histo.bucket_limit[9])
    assert sum(spread.histo.bucket[:10]) == below
    assert one.histo.num == sum(one.histo.bucket) == 1


def test_what_is_flushed_is_on_the_disk_before_the_file_is_closed(tmp_path, monkeypatch):
    file = EventFile(tmp_path)
    file.scalars(1, {"train/loss": 1.0})
    assert len(read(file.path)) == 2
    monkeypatch.setattr(events, "FLUSH_SECONDS", 0.0)
    file.flush_when_due()
    assert len(read(file.path)) == 3
    file.scalars(2, {"train/loss": 1.0})
    assert len(read(file.path)) == 4


def test_each_session_has_a_file_that_sorts_after_the_earlier_ones(tmp_path):
    files = [EventFile(tmp_path, first_step) for first_step in (1, 11, 21)]
    for file in files:
        file.close()
    assert [file.path for file in files] == sorted(tmp_path.iterdir())
