"""`python -m netproxy`."""

from netproxy.cli.main import main

if __name__ == "__main__":
    main()
