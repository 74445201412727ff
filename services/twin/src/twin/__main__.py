"""`python -m twin`."""

import sys

from twin.main import main

sys.exit(main())
