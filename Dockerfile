# One image for every service. The packages are a layer of their own, made from two files that
# seldom change: a change of code rebuilds the small layers after it, without the network.

FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY constraints.txt ./
# The build backend too: the code is installed without asking for it again.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt setuptools
COPY pyproject.toml ./
# opencv-python wants a graphics library that a server lacks; the headless build does not.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], "s3fs", sep="\n")' \
        > requirements.txt \
    && pip install --constraint constraints.txt --requirement requirements.txt \
    && pip install --no-deps --force-reinstall \
        "opencv-python-headless==$(sed -n 's/^opencv-python==//p' constraints.txt)" \
    && python -c 'import cv2'

FROM build AS code
COPY README.md LICENSE ./
COPY db db
COPY producer producer
COPY worker worker
RUN pip install --no-deps --no-build-isolation --target /opt/code .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/nightshelf nightshelf \
    && install --directory --owner=nightshelf /var/lib/nightshelf /run/flower
COPY --from=build /opt/venv /opt/venv
COPY --from=code /opt/code /opt/code
ENV PATH=/opt/code/bin:/opt/venv/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1
WORKDIR /opt/code
USER nightshelf
ENTRYPOINT ["nightshelf"]
CMD ["--help"]
