# The workflow with everything it needs. docs/containers.md says how it is used, and that it was
# checked by a linter, not built, where it was written.
FROM python:3.11-slim-bookworm AS build

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# For PyTorch without CUDA: --build-arg PIP_EXTRA_INDEX_URL=..., the index of its own builds.
ARG PIP_EXTRA_INDEX_URL
WORKDIR /build
COPY pyproject.toml setup.py README.md LICENSE ./
COPY csrc csrc
COPY mcalc mcalc
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir '.[samples]'

FROM python:3.11-slim-bookworm

COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/mcalc
COPY Snakefile config.yaml LICENSE CITATION.cff ./
COPY workflow workflow
COPY profiles profiles
COPY envs envs
# HOME is where caches go: it must be writable for whatever user the container is run as.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp

# Results are written to the folder that is mounted here.
RUN useradd --uid 1000 mcalc && install --directory --owner mcalc /data
WORKDIR /data
USER 1000
ENTRYPOINT ["snakemake", "--snakefile", "/opt/mcalc/Snakefile"]
CMD ["--cores", "all", "--configfile", "/opt/mcalc/config.yaml"]
