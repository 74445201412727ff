"""Health check of a service's container: exit code 0 when its page says that it does its work."""

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

try:
    urlopen(f"http://127.0.0.1:{os.environ['CELLKEEPER_HTTP_PORT']}/readyz", timeout=3.0).close()
except (URLError, OSError) as exc:
    sys.exit(f"not ready: {exc}")
