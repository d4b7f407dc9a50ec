# capture.Dockerfile - rowtide-capture and the shared libraries it needs. From the top of the repository:
#   docker build -f docker/capture.Dockerfile -t rowtide-capture .
# The build stage is word for word the one of apply.Dockerfile: whichever comes second takes it from the cache.
ARG BASE_IMAGE=debian:12

FROM ${BASE_IMAGE} AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config libmariadb-dev libpq-dev liblua5.4-dev libzstd-dev libmicrohttpd-dev \
        libdeflate-dev libssl-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake --preset release -DROWTIDE_MYSQL_CLIENT=mariadb -DROWTIDE_TESTS=OFF \
    && cmake --build --preset release -j "$(nproc)" \
    && install -D -s -t /out build/release/rowtide build/release/rowtide-capture build/release/rowtide-apply

FROM ${BASE_IMAGE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libmariadb3 libmicrohttpd12 libdeflate0 libzstd1 libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 rowtide \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/rowtide --shell /usr/sbin/nologin rowtide \
    && install -d -o rowtide -g rowtide -m 0750 /var/lib/rowtide
COPY --from=build /out/rowtide-capture /usr/bin/
# By number, so that an orchestrator can see that it is not root. A new volume at /var/lib/rowtide takes over the owner.
USER 10001:10001
WORKDIR /var/lib/rowtide
ENTRYPOINT ["rowtide-capture"]
CMD ["--help"]
