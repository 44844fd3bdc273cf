"""Settings of AutoTune Web: everything comes from the environment, and works without any of it.

With nothing set: SQLite and a filesystem broker under the data directory, local trials.
``DATABASE_URL``, ``REDIS_URL`` and the others of docs/configuration.md turn the same code into the
separate roles of a cluster.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from autotune_web.env import (
    env_address,
    env_bool,
    env_choice,
    env_database,
    env_directory,
    env_file,
    env_header,
    env_indices,
    env_list,
    env_networks,
    env_own_namespace,
    env_path,
    env_python,
    env_str,
    env_url,
    env_whole,
    need_extra,
)
from experiments import places

BASE_DIR = places.BASE_DIR
COMMAND = places.COMMAND  # what messages tell people to type

# ---- where things are kept
_usual = places.usual_data()
DATA_DIR = env_directory("AUTOTUNE_DATA", _usual)
# What a command line needs to mean the same directory, for messages that name one.
DATA_OPTION = "" if _usual.resolve() == DATA_DIR else f" --data {shlex.quote(str(DATA_DIR))}"
TRIALS_DIR = DATA_DIR / "trials"


def _secret_key() -> str:
    """SECRET_KEY, or one made once and kept in the data directory, readable by its owner only."""
    if given := env_str("SECRET_KEY"):
        return given
    path = DATA_DIR / "secret_key"
    if not path.exists():
        # Whole and closed to others before it has its name: several processes may start at once.
        draft = path.with_name(f"secret_key.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text()


SECRET_KEY = _secret_key()
DEBUG = env_bool("AUTOTUNE_DEBUG", False)
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
PUBLIC_URL = env_str("AUTOTUNE_PUBLIC_URL", "http://127.0.0.1:8080").rstrip("/")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
# Cookies go to every port of a host, where a second dashboard may live: names of our own.
_installation = hashlib.sha256(b"autotune.cookies:" + SECRET_KEY.encode()).hexdigest()[:8]
SESSION_COOKIE_NAME = f"autotune_session_{_installation}"
CSRF_COOKIE_NAME = f"autotune_csrf_{_installation}"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30  # seconds

# ---- training
TRAINING_ENGINE = env_choice(
    "AUTOTUNE_TRAINING_ENGINE",
    "local",
    ("local", "trainer", "tensorstack", "kubeflow", "jobset", "batch", "auto"),
)
if TRAINING_ENGINE != "local":
    need_extra("kubernetes", "kubernetes", f"AUTOTUNE_TRAINING_ENGINE={TRAINING_ENGINE}")
# On a cluster a project is the namespace of its name; only the default project's can be chosen.
NAMESPACE = env_str("AUTOTUNE_NAMESPACE", "default")
# Where our own pods run, and trials never; "" outside a cluster.
OWN_NAMESPACE = env_own_namespace("AUTOTUNE_OWN_NAMESPACE")
# What trials may ask of the cluster: strict, unless a file says otherwise.
POD_POLICY = env_file("AUTOTUNE_POD_POLICY")
if TRAINING_ENGINE != "local":
    # Only here: it loads more than a server that runs trials itself needs.
    from experiments.training.kubernetes.policy import PolicyError, read_policies

    try:
        read_policies(POD_POLICY)
    except PolicyError as error:
        raise ImproperlyConfigured(f"AUTOTUNE_POD_POLICY: {error}.") from None
# Where trials reach the trial API; differs from PUBLIC_URL behind a proxy.
TRIAL_URL = env_str("AUTOTUNE_TRIAL_URL", PUBLIC_URL).rstrip("/")
LOCAL_TRIALS = env_bool("AUTOTUNE_LOCAL_TRIALS", True)  # may manifests run commands on this host?
# Whose programs local trials run: by default those of the environment that AutoTune is started in.
TRIAL_PATH = env_path("AUTOTUNE_TRIAL_PATH")
TRIAL_PYTHON = env_python("AUTOTUNE_TRIAL_PYTHON")  # what --python sets
# GPUs of this machine by their numbers, where not all that NVML finds are to be used.
GPUS = env_indices("AUTOTUNE_GPUS")
# Where it is written who holds them; all servers of a user on a machine share one directory.
SLOTS_DIR = env_str("AUTOTUNE_SLOTS")
CLIENT_DIR = BASE_DIR / "experiments" / "training" / "client"

# ---- files that trials attach: MiB of one, of all of a trial, of all of an experiment; 0: none
ARTIFACT_LIMITS_MIB = {
    name: env_whole(f"AUTOTUNE_ARTIFACT_{name.upper()}_MIB", default, 0, 1024 * 1024)
    for name, default in (("file", 32), ("trial", 128), ("experiment", 2048))
}

# ---- cluster: the operator's
NAMESPACES = env_list("AUTOTUNE_NAMESPACES", NAMESPACE)  # served; *: every one
SEND_TO_CLUSTER = env_bool("AUTOTUNE_SEND_TO_CLUSTER", False)  # experiments made here too
if OWN_NAMESPACE and TRAINING_ENGINE != "local" and OWN_NAMESPACE in (NAMESPACE, *NAMESPACES):
    raise ImproperlyConfigured(
        f"AUTOTUNE_NAMESPACE and AUTOTUNE_NAMESPACES must not name {OWN_NAMESPACE!r}, which is "
        "AutoTune's own namespace: a trial there could read its Secrets and take its traffic. "
        "Give trials a namespace of their own (deploy/trials)."
    )

# ---- who signs in: beside our own accounts those whom a proxy in front tells us, by headers
USER_HEADER = env_header("AUTOTUNE_USER_HEADER")  # none: nobody
GROUPS_HEADER = env_header("AUTOTUNE_GROUPS_HEADER")
# What the cluster calls them, as its API server's --oidc-username-prefix and --oidc-groups-prefix.
USER_PREFIX = env_str("AUTOTUNE_USER_PREFIX")
GROUPS_PREFIX = env_str("AUTOTUNE_GROUPS_PREFIX")
# Who is believed to be that proxy: by its address, and by what it sends along if that is set.
PROXIES = env_networks("AUTOTUNE_PROXIES", "127.0.0.1,::1")
PROXY_SECRET = env_str("AUTOTUNE_PROXY_SECRET")
if USER_HEADER and not PROXY_SECRET and any(net.num_addresses > 1 for net in PROXIES):
    raise ImproperlyConfigured(
        "AUTOTUNE_PROXIES with a network needs AUTOTUNE_PROXY_SECRET: whoever is in that network, "
        "trials too, could call themselves anybody. The proxy sends it as X-AutoTune-Proxy-Secret."
    )
# Whether such a person may act in a namespace is then for the cluster to say.
CHECK_NAMESPACES = env_bool(
    "AUTOTUNE_CHECK_NAMESPACES", bool(USER_HEADER) and TRAINING_ENGINE != "local"
)
if CHECK_NAMESPACES and TRAINING_ENGINE == "local":
    raise ImproperlyConfigured(
        "AUTOTUNE_CHECK_NAMESPACES needs a cluster, but AUTOTUNE_TRAINING_ENGINE is local."
    )
FORWARDED_ALLOW_IPS = env_str("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")

# Touched by worker and ticker while they live, for a probe to look at.
HEARTBEAT_FILE = env_str("AUTOTUNE_HEARTBEAT_FILE", "")

# ---- AIStore
AISTORE_HOST = env_url("AISTORE_HOST", ("https", "http")).rstrip("/")
# Also write one node of type AutoTune per experiment, as the platform's own AutoTune did.
AISTORE_ORIGINAL_NODE = env_bool("AUTOTUNE_AISTORE_ORIGINAL_NODE", False)

# ---- mirrors: where experiments are sent as they run, beside all that is kept here
MIRROR_MLFLOW = env_url("AUTOTUNE_MIRROR_MLFLOW", ("https", "http")).rstrip("/")
MIRROR_MLFLOW_TOKEN = env_str("AUTOTUNE_MIRROR_MLFLOW_TOKEN")
MIRROR_TENSORBOARD = env_str("AUTOTUNE_MIRROR_TENSORBOARD")  # a directory, as the next three
MIRROR_WANDB = env_str("AUTOTUNE_MIRROR_WANDB")
MIRROR_SWANLAB = env_str("AUTOTUNE_MIRROR_SWANLAB")
MIRROR_TRACKIO = env_str("AUTOTUNE_MIRROR_TRACKIO")

# ---- notifications: e-mail by Django's own settings, and whom webhooks may tell
EMAIL_HOST = env_str("EMAIL_HOST")  # none: no e-mail is sent
EMAIL_USE_SSL = env_bool("EMAIL_USE_SSL", False)
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", False)
EMAIL_PORT = env_whole(
    "EMAIL_PORT", 465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25, 1, 65535
)
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env_str("EMAIL_HOST_PASSWORD")
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env_str("DEFAULT_FROM_EMAIL", "autotune@localhost")
WEBHOOK_HOSTS = env_list("AUTOTUNE_WEBHOOK_HOSTS", "")  # beside public ones; *: every one

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "django_htmx",
    "experiments",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "experiments.access.security.SecurityHeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "experiments.access.proxy.ProxyUserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "autotune_web.urls"
ASGI_APPLICATION = "autotune_web.asgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# ---- database
DATABASES = {
    "default": env_database("DATABASE_URL", DATA_DIR / "autotune.sqlite3"),
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Three processes write: IMMEDIATE makes them queue where deferred transactions would fail with
    # "database is locked"; WAL lets pages read meanwhile.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;"
            # pages (80 MB); before that the ticker does it, see embedded/write_ahead_log.py
            "PRAGMA wal_autocheckpoint=20000;"
        ),
    }
    # Tests that use threads need a file: an in-memory database is one connection's own.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    need_extra("psycopg_pool", "postgres", "DATABASE_URL")
    DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 12, "timeout": 20}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---- broker and hints
# Channels has no layer: nothing is sent through one, and every socket would need it to be there.
REDIS_URL = env_url("REDIS_URL", ("redis", "rediss", "unix"))
if REDIS_URL:
    need_extra("redis", "redis", "REDIS_URL")
CELERY_BROKER_URL = env_str("CELERY_BROKER_URL") or REDIS_URL or "folder://localhost"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # tasks are hints; the ticker repeats them
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker never gives up on its broker
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # nor where it answers with errors, as in a failover
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "autotune"
if CELERY_BROKER_URL.startswith("folder://"):
    _queue = DATA_DIR / "queue"
    _queue.mkdir(exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue),
        "data_folder_out": str(_queue),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.05,  # seconds
    }
elif CELERY_BROKER_URL.startswith(("redis", "unix")):
    # A Redis that hangs, or is cut off without a word, is as good as gone: nobody waits for ever.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": 5,  # seconds
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
    }

# ---- signing in
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "experiments.access.proxy.ProxyBackend",
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "experiment-list"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "experiments.rest.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "experiments.rest.errors.handle",
    "UNICODE_JSON": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AutoTune Web",
    "DESCRIPTION": "Hyperparameter tuning: experiments, trials, metrics, charts.",
    "VERSION": "v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    # The validator's badge would be fetched from the internet.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Several shapes have a trial's state; clients made from the schema know it by this name.
    "ENUM_NAME_OVERRIDES": {
        "TrialShapeStateEnum": "experiments.states.TrialState",
        "ChannelKindEnum": "experiments.models.notices.CHANNEL_KINDS",
    },
}


def _package_dir(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ImproperlyConfigured(f"Package {name!r} must be installed; see requirements.txt.")
    return Path(next(iter(spec.submodule_search_locations)))


# ---- figures for Prometheus: each role at a port of its own, from this one on
METRICS = env_address("AUTOTUNE_METRICS")

# ---- language, time, static files
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "autotune_language"
LANGUAGE_COOKIE_AGE = 60 * 60 * 24 * 365  # seconds
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = SESSION_COOKIE_SECURE
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
# Third-party assets come out of their wheels, under a prefix each, and are never committed.
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("vendor/bootstrap", _package_dir("bootstrap")),
    ("vendor/plotly", _package_dir("plotly") / "package_data"),
]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "autotune_web.plotly_parts.PlotlyFinder",
]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"  # the one-time sign-in link must not leak
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024  # bytes; a manifest may be 1 MiB, refused with words

LOG_LEVEL = env_choice(
    "AUTOTUNE_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "experiments.redaction.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR"},
        # A traceback for each stranger's request; web/errors.py writes a line instead.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "httpx": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
    },
}
