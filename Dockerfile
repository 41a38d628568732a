# The image holds one static program and nothing else: no shell, no libc, no time zones (they are compiled in), no TLS
# roots (the cluster's own authority comes with the service account).
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t YOUR/daypass .
#
# Each platform builds natively, by `make image-binary`.

ARG RUST=1.95.0
# `daypass-archive`: the image of the archive. `daypass-notify`: that of the notifier. `daypass-page`: that of the page.
# `daypass-witness`: that of the witness.
ARG BINARY=daypass

FROM docker.io/library/rust:${RUST}-slim-bookworm AS build
# The C compiler for musl: the TLS library is C.
RUN apt-get update && apt-get install -y --no-install-recommends make musl-tools && rm -rf /var/lib/apt/lists/*
# Writes the list of dependencies into the program, where scanners find it.
RUN cargo install cargo-auditable --version 0.7.7 --locked
ARG TARGETARCH
RUN case "$TARGETARCH" in \
        amd64) echo x86_64-unknown-linux-musl ;; \
        arm64) echo aarch64-unknown-linux-musl ;; \
        *) echo "no such platform: $TARGETARCH" >&2; exit 1 ;; \
    esac > /target && rustup target add "$(cat /target)"
WORKDIR /src
COPY Cargo.toml Cargo.lock Makefile ./
COPY src src
# Cargo wants to find what the manifest names, also what is not built.
COPY e2e/main.rs e2e/main.rs
COPY e2e/fuzz/main.rs e2e/fuzz/main.rs
COPY e2e/otlp/main.rs e2e/otlp/main.rs
# `otlp`: with traces.
ARG FEATURES=
ARG BINARY
# The time of the commit, for whatever would write the time of the build.
ARG SOURCE_DATE_EPOCH=0
RUN make image-binary IMAGE_TARGET="$(cat /target)" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" FEATURES="$FEATURES" BINARY="$BINARY" \
    && install -D -m 0555 "target/$(cat /target)/release/$BINARY" /image/daypass

FROM scratch AS image
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="daypass" \
      org.opencontainers.image.description="Just-in-time access for Kubernetes" \
      org.opencontainers.image.source="https://github.com/daypass/daypass" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/daypass /daypass
# By number, or Kubernetes cannot see that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/daypass"]

FROM image AS daypass
CMD ["controller"]

# Where its certificate and its database are, its flags must say.
FROM image AS daypass-archive
LABEL org.opencontainers.image.title="daypass-archive" \
      org.opencontainers.image.description="The archive of Daypass: what happened to requests, when they are gone"
EXPOSE 8443

# Where its routes are, its flags must say.
FROM image AS daypass-notify
LABEL org.opencontainers.image.title="daypass-notify" \
      org.opencontainers.image.description="The notifier of Daypass: tells people what waits for them"

# At which address browsers reach it, its flags must say.
FROM image AS daypass-page
LABEL org.opencontainers.image.title="daypass-page" \
      org.opencontainers.image.description="The page of Daypass: people ask, decide and look in a browser, with their own login"
EXPOSE 8443

# Which logs it knows and where it keeps them, its flags must say.
FROM image AS daypass-witness
LABEL org.opencontainers.image.title="daypass-witness" \
      org.opencontainers.image.description="The witness of Daypass: sees that the log of an archive only grows"
EXPOSE 8470

FROM ${BINARY}
