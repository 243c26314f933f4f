"""Starts the explorer: `python app.py [--runs DIR] [--data DIR] [--port 7860] [--share] [--auth USER:FILE]`."""

import sys

if __name__ == "__main__":
    from afrd.cli.app import main

    sys.exit(main())
