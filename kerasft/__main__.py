"""`python -m kerasft` is `kerasft`."""

from kerasft.cli import main

if __name__ == "__main__":
    main()
