"""`python -m netproxy`, and the installed command: an interrupt before anything has begun ends it quietly."""

import signal

_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _interruptible:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has been done yet, so nothing needs to be cleaned up

from netproxy.cli.main import main as _main  # noqa: E402  # it takes longest, and is to be interruptible


def main() -> None:
    """Run the command line."""
    if _interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _main()


if __name__ == "__main__":
    main()
