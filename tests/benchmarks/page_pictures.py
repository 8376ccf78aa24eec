"""The pictures of the README: `kerasft serve`'s page in headless Chromium, on a laptop and on a phone.

    python tests/benchmarks/page_pictures.py http://127.0.0.1:8501 --into serving/pictures

on a running server that has the models `sentiment` and `token-classification`.
"""

import argparse
from pathlib import Path

from tests.serving.browser import Browser, browser

READY = "document.querySelector('#model option') && !document.getElementById('ask').disabled"
# Model, text, width in CSS pixels, whether it is a phone.
PICTURES = {
    "page.png": ("sentiment", "The plot creaks, but she is so funny that I never looked at the clock.", 900, False),
    "page-phone.png": ("token-classification", "Mira Holt left Lisbon on Tuesday to join Arden Bank.", 390, True),
}


def take(tab: Browser, url: str, path: Path, model: str, text: str, width: int, phone: bool) -> None:
    """Asks a model for its answer to a text, and takes a picture of the page as it is then."""
    tab.open(f"{url}/?{model}", width=width, height=760, phone=phone, dark=phone)
    tab.wait(READY)
    tab.run(f"document.getElementById('ask').disabled = true, document.getElementById('model').value = '{model}'")
    tab.run("document.getElementById('model').dispatchEvent(new Event('change')), 0")
    tab.wait(READY)
    tab.type("input-text", text)
    for _ in range(2):  # The first one warms the connection up.
        tab.run("document.getElementById('form').requestSubmit(), 0")
        tab.wait(READY)
    tab.run("document.activeElement.blur()")
    tab.screenshot(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--into", type=Path, default=Path("serving/pictures"))
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with browser() as tab:
        for name, picture in PICTURES.items():
            take(tab, options.url.rstrip("/"), options.into / name, *picture)
            print(options.into / name)


if __name__ == "__main__":
    main()
