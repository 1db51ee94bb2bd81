# The image of the one binary: nothing else is in it, no shell, no libraries.
# `make image` builds it for amd64 and arm64; `make image-lint` checks this file.
ARG RUST_VERSION=1.95
ARG DEBIAN_RELEASE=trixie

FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
WORKDIR /src
COPY . .
# glibc linked statically: the same allocator (jemalloc) and resolver as everywhere
# else. A target is named so that build scripts and macros are not linked so.
# Paths of this stage are not written into the binary, so that equal sources give
# equal bytes.
ENV RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo"
ENV SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=ferrule-target-${RUST_VERSION},sharing=locked \
    target="$(rustc --print host-tuple)" \
    && cargo build --release --locked --package ferrule-controller --target "$target" \
    && install -D -m 0755 "target/$target/release/ferrule" /out/ferrule

FROM scratch
LABEL org.opencontainers.image.title="ferrule" \
      org.opencontainers.image.description="A Kubernetes service-mesh control plane for linkerd2-proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ferrule /ferrule
# By number: `runAsNonRoot` has no /etc/passwd to look a name up in. 2103 is the
# chart's `controllerUID`.
USER 2103:2103
ENTRYPOINT ["/ferrule"]
