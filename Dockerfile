# The server in one image. `TORCH` says for which machine:
#   2.13.0+cpu  processors alone (the default); that build is in PyTorch's own index, whose address goes into TORCH_INDEX
#   2.13.0      NVIDIA GPUs too: brings its CUDA libraries, several gigabytes; the host brings the driver
FROM python:3.11-slim-bookworm AS build
ARG TORCH=2.13.0+cpu
ARG TORCH_INDEX=
ARG EXTRAS=distill,otel,postgres
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/apprentice
ENV PATH=/opt/apprentice/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
# torch first and alone: a range would pull gigabytes of accelerator libraries
RUN python -m pip install --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "torch==${TORCH}"
COPY pyproject.toml README.md LICENSE ./
COPY memory memory
COPY agent agent
COPY distill distill
COPY server server
RUN python -m pip install --constraint constraints.txt ".[${EXTRAS}]"
# Fails where a processor's image came to hold a GPU's libraries after all.
RUN python -m pip check \
    && python -c "import sys; from importlib.metadata import distributions; \
gpu = sorted(one.name for one in distributions() if one.name.startswith(('nvidia', 'triton'))); \
sys.exit(f'not for processors alone: {gpu}' if '$TORCH'.endswith('+cpu') and gpu else 0)"

FROM python:3.11-slim-bookworm
# libseccomp2: the forge's sandbox. tini: reaps what tools and MCP servers leave behind.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libseccomp2 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 apprentice \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin apprentice \
    && install --directory --owner apprentice --group apprentice --mode 700 /data
COPY --from=build /opt/apprentice /opt/apprentice
# All that is written goes to /data, and what may be lost to /tmp: the root file system may be read-only.
ENV PATH=/opt/apprentice/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    APPRENTICE_HOST=0.0.0.0 \
    APPRENTICE_PORT=8080 \
    APPRENTICE_DATA_DIR=/data
WORKDIR /opt/apprentice
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f\"http://127.0.0.1:{os.environ['APPRENTICE_PORT']}/health/live\", timeout=2)"]
ENTRYPOINT ["tini", "--", "apprentice"]
CMD ["serve"]
