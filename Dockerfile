# One image for every role: `docker run tollgate api | worker | mcp sales | ...`. compose.yaml combines them, with their
# health checks.
#
# The base image is pinned by version. Tags can move; to pin the digest that you have tested:
#   docker buildx imagetools inspect python:3.12.13-slim-trixie --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON=python:3.12.13-slim-trixie@sha256:... -t tollgate:0.1.0 .
# `make image` performs these steps without Docker, and starts what compose.yaml starts.
ARG PYTHON=python:3.12.13-slim-trixie

FROM ${PYTHON} AS build
# Optional mirror of the package index; hashes are always checked.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/source
RUN python -m venv --without-pip /opt/tollgate && mkdir /data
COPY requirements.lock ./
RUN pip --python /opt/tollgate/bin/python install --no-deps --require-hashes -r requirements.lock
COPY . ./
RUN pip --python /opt/tollgate/bin/python install --no-deps --no-index --no-build-isolation .
# Tests of packages are a quarter of the files, and never run.
RUN find /opt/tollgate/lib -type d -name tests -prune -exec rm -r {} +

FROM ${PYTHON}
LABEL org.opencontainers.image.title="tollgate" \
      org.opencontainers.image.description="Multi-agent research jobs that cannot run away with their money" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.12.13-slim-trixie"
# Fonts for PDF reports, beside those of Typst: 150 MB. Without them only Western scripts are shown.
RUN apt-get update && \
    apt-get install -y --no-install-recommends fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji && \
    rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/tollgate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TOLLGATE_DATA_DIR=/data
COPY --from=build /opt/tollgate /opt/tollgate
COPY --from=build --chown=10001:10001 /data /data
# Only /data and /tmp are written, so the rest can be read-only. The user owns nothing else.
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["tollgate"]
CMD ["api", "--host", "0.0.0.0", "--port", "8000"]
