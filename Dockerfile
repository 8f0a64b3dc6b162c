# docker build -t knowhow . && docker run --rm knowhow
# With an NVIDIA GPU: docker build --build-arg KNOWHOW_DEVICE=cuda …, docker run --gpus all …
FROM python:3.11-slim AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc git libc6-dev libnuma1 make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home knowhow && install --directory --owner knowhow /home/knowhow/checkout
USER knowhow

FROM tools
ARG KNOWHOW_DEVICE=cpu
ENV KNOWHOW_DEVICE=$KNOWHOW_DEVICE
WORKDIR /home/knowhow/checkout
COPY --chown=knowhow . .
RUN make environment
CMD ["make", "iteration"]
