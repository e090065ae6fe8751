# The environment for a machine with an NVIDIA driver and its container toolkit; CUDA's libraries come with torch.
#   docker build --tag semipose .
#   docker run --rm --gpus all --shm-size 8g --user "$(id -u):$(id -g)" --volume "$PWD:/work" semipose dvc repro
# The clone that is mounted at /work is what runs, so that data, runs and reports stay in it.
FROM python:3.11.9-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/semipose
COPY requirements.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY semipose semipose
RUN /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/work HOME=/tmp
WORKDIR /work
CMD ["dvc", "repro"]
