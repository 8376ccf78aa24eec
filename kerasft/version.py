"""The release, in one place: setup.cfg, `kerasft --version` and the proof of an export read it here."""

__version__ = "0.1.0"
