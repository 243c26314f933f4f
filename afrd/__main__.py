"""`python -m afrd` is the command `afrd`."""

import sys

from afrd.cli.commands import main

sys.exit(main())
