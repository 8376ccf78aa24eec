"""What the tests of tasks share."""

import pytest

from kerasft import answering


@pytest.fixture
def opened_once(monkeypatch):
    """Each run and each export is opened once in a test, however often it is asked: opening it traces its graph."""
    opened, known = {}, answering.open_answerer

    def once(target):
        key = str(getattr(target, "folder", target))
        if key not in opened:
            opened[key] = known(target)
        return opened[key]

    monkeypatch.setattr(answering, "open_answerer", once)
