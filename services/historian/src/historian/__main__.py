"""`python -m historian`."""

import sys

from historian.main import main

if __name__ == "__main__":
    sys.exit(main())
