# One image for every role: web, worker, ticker, operator, migrations, and `up` (all in one).
#   docker build -t autotune-web .
# Runs as user 10001, or as any other of group 0, needs nothing writable but AUTOTUNE_DATA and /tmp,
# and holds no secret.

FROM python:3.11-slim-bookworm AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt .
RUN python -m venv /opt/autotune && /opt/autotune/bin/pip install -r requirements.txt

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="AutoTune Web" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/autotune/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=autotune_web.settings \
    AUTOTUNE_DATA=/data \
    HOME=/tmp
RUN groupadd --gid 10001 autotune \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin autotune \
    && install -d -o 10001 -g 0 -m 0770 /data
COPY --from=packages /opt/autotune /opt/autotune
WORKDIR /app
COPY . .
RUN python -m compileall -q autotune_web experiments
USER 10001:10001
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["python", "manage.py"]
CMD ["up", "--host", "0.0.0.0"]
