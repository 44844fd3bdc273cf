"""Run as a role by test_nursery.py: says what it finds, then does as its argument says."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from django.conf import settings
from django.db import connections


def main() -> None:
    found = {
        "argv": sys.argv[1:],
        "public_url": settings.PUBLIC_URL,
        "trusted": settings.CSRF_TRUSTED_ORIGINS,
        "secure": settings.SESSION_COOKIE_SECURE,
        "hosts": settings.ALLOWED_HOSTS,
        "session": os.getsid(0) == os.getpid(),
        "parent": os.getppid(),
        "cwd": os.getcwd(),
        "files": sorted(
            os.readlink(f"/proc/self/fd/{name}")
            for name in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{name}")
        ),
        "threads": [thread.name for thread in threading.enumerate()],
        "connections": [c.alias for c in connections.all() if c.connection is not None],
        "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "web": "autotune_web.asgi" in sys.modules,
    }
    print(json.dumps(found))
    match sys.argv[1]:
        case "wait":
            time.sleep(600)
        case "exit":
            sys.exit(7)
        case "fail":
            raise RuntimeError("on purpose")


if __name__ == "__main__":
    main()
