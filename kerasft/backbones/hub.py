"""Files from a Hugging Face hub over plain HTTPS, with short waits."""

import http.client
import os
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path

from kerasft.backbones.catalog import Entry
from kerasft.backbones.checksum import copy_checked
from kerasft.errors import KerasftError

PREFIX = "hf://"
ANSWER_SECONDS = 5.0
STALL_SECONDS = 20.0


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, as huggingface_hub reads it, or the public one."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _request(url: str, method: str = "GET") -> urllib.request.Request:
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "kerasft"})
    if token := os.environ.get("HF_TOKEN"):
        # Unredirected: the hub sends downloads on to other hosts, which must not see the token.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


def silence(seconds: float = ANSWER_SECONDS) -> str | None:
    """Why no hub can be asked now, or None when one answers.

    A socket's timeout counts per address and leaves name look-up out, so on a network that swallows packets it adds up
    to minutes; a thread with a deadline keeps the wait at `seconds`.
    """
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"{variable} is set"
    url = endpoint()
    if not url.startswith(("https://", "http://")):
        return f"HF_ENDPOINT is '{url}', not an http(s) address"
    outcome = [f"no answer within {seconds:g} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(_request(url, "HEAD"), timeout=seconds).close()
            outcome[0] = ""
        except urllib.error.HTTPError as error:
            error.close()
            outcome[0] = ""  # a status, whichever, is an answer
        except Exception as error:
            reason = getattr(error, "reason", error)
            outcome[0] = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] or None


def from_hub(entry: Entry, folder: Path) -> None:
    """Fills `folder` with `entry.files` from its `hf://` source.

    Raises:
        KerasftError: a file cannot be had, or is not the known one.
    """
    repository = entry.source.removeprefix(PREFIX)
    for file in entry.files:
        url = f"{endpoint()}/{repository}/resolve/{entry.revision or 'main'}/{file.name}"
        try:
            with urllib.request.urlopen(_request(url), timeout=STALL_SECONDS) as stream:
                copy_checked(stream, file, folder / file.name, "the hub")
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise KerasftError(f"{file.name} did not arrive from the hub ({error})") from error
