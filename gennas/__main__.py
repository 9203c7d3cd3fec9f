"""`python -m gennas`."""

import sys

from gennas.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
