"""ASGI entry point: probes, static files and the trial API first, then websockets and pages.

Served by uvicorn. The trial API stands ahead of Django because its endpoints take every metric of
every trial and Django's request path would cost more than the work itself.
"""

import logging
import os
import warnings
from typing import Any, cast

from asgiref.typing import ASGI3Application

# Who develops gets WhiteNoise's files from Django, read whole.
warnings.filterwarnings(
    "ignore", message="StreamingHttpResponse must consume synchronous iterators", category=Warning
)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")

from django.core.asgi import get_asgi_application  # noqa: E402

django_application = get_asgi_application()  # sets Django up; the imports below need it

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware  # noqa: E402

from experiments.access.proxy import ProxyDoor  # noqa: E402
from experiments.embedded.health import Health  # noqa: E402
from experiments.embedded.static_files import StaticFiles  # noqa: E402
from experiments.live.door import WebsocketDoor  # noqa: E402
from experiments.live.refusal import RefusalIsNoError  # noqa: E402
from experiments.monitoring.door import Metrics  # noqa: E402
from experiments.redaction import RedactingFilter  # noqa: E402
from experiments.reports.trial_api import App, TrialApi  # noqa: E402

# Whoever starts uvicorn by hand has its log format, which repeats addresses.
for _name in ("uvicorn.access", "uvicorn.error", "uvicorn.asgi"):
    logging.getLogger(_name).addFilter(RedactingFilter())
logging.getLogger("uvicorn.error").addFilter(RefusalIsNoError())

pages_and_sockets = cast(
    App,
    ProtocolTypeRouter(
        {
            "http": django_application,
            "websocket": WebsocketDoor(),
        }
    ),
)
trial_api = TrialApi(pages_and_sockets)
application = Metrics(Health(StaticFiles(cast(ASGI3Application, trial_api))))
# For a server that leaves scope["client"] as it is (``embedded.serving``): who sent a request is
# known up to here, and then it is whom a proxy says that it came from.
_forwarded = ProxyHeadersMiddleware(cast(Any, application), settings.FORWARDED_ALLOW_IPS)
behind_proxies = ProxyDoor(cast(Any, _forwarded))
