#!/bin/sh
# Builds what people sign in to the page with: oauth2-proxy, pinned in oauth2-proxy/go.mod, and the small OpenID provider
# of the folder provider, into the folder given as $1. What is there already, built from these files, is not built again.
# Go is asked for only when something is left to build.
set -eu

out=${1:?usage: build.sh OUTPUT_FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

build() { # build NAME PACKAGE FILES_IT_IS_MADE_OF...
    name=$1
    package=$2
    shift 2
    pin=$(cat "$@" | cksum)
    [ -x "$out/$name" ] && [ "$(cat "$out/$name.stamp" 2>/dev/null)" = "$pin" ] && return
    command -v go >/dev/null 2>&1 || fail \
        "Go is not installed. It builds $name, by which the trials sign in to the page." \
        "Install Go 1.26 or later from https://go.dev/dl/ and run the command again."
    printf '  building %s\n' "$name"
    (cd "$here/$name" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$out/$name.new" "$package") ||
        fail "building $name failed; the lines above say why"
    # Renamed when it is whole: what was interrupted must not pass for a program.
    mv "$out/$name.new" "$out/$name"
    printf '%s' "$pin" >"$out/$name.stamp"
}

build oauth2-proxy github.com/oauth2-proxy/oauth2-proxy/v7 "$here/oauth2-proxy/go.mod" "$here/oauth2-proxy/go.sum"
build provider . "$here/provider/go.mod" "$here/provider/go.sum" "$here/provider/main.go"
