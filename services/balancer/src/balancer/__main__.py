"""`python -m balancer`."""

import sys

from balancer.main import main

if __name__ == "__main__":
    sys.exit(main())
