"""Ends with 0 while the server of this container answers /health with 200, else with 1 and the reason."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

LIMIT_S = 4


def main() -> int:
    host = os.environ.get("MOE_HOST") or "127.0.0.1"  # one connects to 0.0.0.0 as well: it is this machine
    port = int(os.environ.get("MOE_PORT") or 11435)
    # not urllib, which would ask the proxy that the container may have been given
    connection = HTTPConnection(host, port, timeout=LIMIT_S)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    finally:
        connection.close()
    print(status)
    return int(status != 200)


if __name__ == "__main__":
    sys.exit(main())
