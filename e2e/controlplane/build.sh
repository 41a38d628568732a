#!/bin/sh
# Builds the pinned control plane (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl), helm, and the
# client-go program in the folder client into the folder given as $1. What is there already, built from these go.mod and
# go.sum files, is not built again, nor what the folder that KUBEBUILDER_ASSETS names has. Go is asked for only when
# something is left to build.
#
# With a version of Kubernetes as $2, such as 1.33, API server, controller manager and scheduler are those of that version.
# If it is not the one that go.mod pins, its own go.mod and go.sum are in the folder of that name beside this script,
# and what is built of them goes into the folder of that name in $1. All else is shared.
set -eu

out=${1:?usage: build.sh OUTPUT_FOLDER [VERSION]}
version=${2:-}
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

release_of() { # release_of MODULE_FOLDER
    sed -n 's/^[[:space:]]*k8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$1/go.mod"
}

minor_of() { # minor_of RELEASE
    printf '%s' "$1" | sed 's/^v\([0-9]*\.[0-9]*\)\..*/\1/'
}

tools="etcd kubectl helm client-go"
servers="kube-apiserver kube-controller-manager kube-scheduler"
release=$(release_of "$here")
default=$(minor_of "$release")
pins="$here"
if [ -n "$version" ] && [ "$version" != "$default" ]; then
    pins="$here/$version"
    there_are=$default
    for folder in "$here"/[0-9]*/; do
        [ -f "$folder/go.mod" ] && there_are="$there_are, $(basename "$folder")"
    done
    case $version in
    */* | [!0-9]*) pins=/dev/null ;;
    esac
    [ -f "$pins/go.mod" ] || fail "Kubernetes $version is not pinned; there are: $there_are." \
        "Another one is a folder in e2e/controlplane with a go.mod and go.sum like those of the others."
    release=$(release_of "$pins")
    [ "$(minor_of "$release")" = "$version" ] || fail "e2e/controlplane/$version/go.mod pins Kubernetes $release, not $version."
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
servers_out="$out"
[ "$pins" = "$here" ] || servers_out="$out/$version"
mkdir -p "$servers_out"

# Programs of other pins are of no use to anybody. Stamps once had more in front of the pin.
drop_others() { # drop_others FOLDER PIN PROGRAM...
    folder=$1
    pin=$2
    shift 2
    case $(cat "$folder/stamp" 2>/dev/null || true) in
    *"$pin") ;;
    *)
        (cd "$folder" && rm -f "$@")
        printf '%s' "$pin" >"$folder/stamp"
        ;;
    esac
}
# shellcheck disable=SC2086 # One word a program.
drop_others "$out" "$(cat "$here/go.mod" "$here/go.sum" "$here/helm/go.mod" "$here/helm/go.sum" | cksum)" $tools $servers
# shellcheck disable=SC2086
[ "$pins" = "$here" ] || drop_others "$servers_out" "$(cat "$pins/go.mod" "$pins/go.sum" | cksum)" $servers

# Its source is here, and changes without the pins.
changed=$(find "$here/client" -name '*.go' -newer "$out/client-go" 2>/dev/null || true)
[ -z "$changed" ] || rm -f "$out/client-go"
assets=${KUBEBUILDER_ASSETS:-$out}
needed=""
for name in $tools; do
    [ -x "$out/$name" ] || [ -x "$assets/$name" ] || needed="$needed $name"
done
for name in $servers; do
    # Which version those of KUBEBUILDER_ASSETS are of, nobody knows.
    [ -x "$servers_out/$name" ] || { [ -z "$version" ] && [ -x "$assets/$name" ]; } || needed="$needed $name"
done
[ -n "$needed" ] || exit 0

command -v go >/dev/null 2>&1 || fail \
    "Go is not installed. It builds the control plane that the tests and the demo run against." \
    "Install Go 1.26 or later from https://go.dev/dl/ and run the command again."
go_version=$(cd "$pins" && go env GOVERSION 2>&1) || fail \
    "This Go cannot build the control plane: $go_version" \
    "Install Go 1.26 or later from https://go.dev/dl/ and run the command again."
case $go_version in
go1.2[6-9]* | go1.[3-9][0-9]* | go[2-9]*) ;;
*) fail "The control plane needs Go 1.26 or later; this is $go_version." \
    "Install a newer Go from https://go.dev/dl/, or unset GOTOOLCHAIN so that Go fetches one." ;;
esac

# Prints a line whenever another `step` packages are compiled: a cold build takes minutes.
progress() {
    awk -v what="$1" -v step=150 '
        /^[a-zA-Z0-9_.\/-]+$/ { n++; if (n % step == 0) { printf "  %s: %d packages compiled\n", what, n; fflush() }; next }
        { print; fflush() }'
}

build() { # build NAME MODULE_FOLDER PACKAGE FOLDER RELEASE
    printf '  building %s\n' "$1"
    # Clients read the server's version from these variables; without them it is v0.0.0.
    minor=$(printf '%s' "$5" | cut -d. -f2)
    flags="-s -w"
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags="$flags -X $package.gitVersion=$5 -X $package.gitMajor=1 -X $package.gitMinor=$minor"
    done
    status="$4/.$1.status"
    { (cd "$2" && CGO_ENABLED=0 go build -v -trimpath -ldflags "$flags" -o "$4/$1.new" "$3") 2>&1 && echo 0 >"$status" || echo 1 >"$status"; } | progress "$1"
    [ "$(cat "$status")" = 0 ] || fail "building $1 failed; the lines above say why"
    rm -f "$status"
    # Renamed when it is whole: what was interrupted must not pass for a program.
    mv "$4/$1.new" "$4/$1"
}

echo "Building the local control plane, once (Kubernetes $release; about seven minutes on two cores):"
for name in $needed; do
    case $name in
    etcd) build etcd "$here" go.etcd.io/etcd/server/v3 "$out" "$(release_of "$here")" ;;
    kubectl) build kubectl "$here" k8s.io/kubernetes/cmd/kubectl "$out" "$(release_of "$here")" ;;
    # Behind kubectl, which has compiled all that it is made of.
    client-go) build client-go "$here" ./client "$out" "$(release_of "$here")" ;;
    helm) build helm "$here/helm" helm.sh/helm/v4/cmd/helm "$out" "$(release_of "$here")" ;;
    *) build "$name" "$pins" "k8s.io/kubernetes/cmd/$name" "$servers_out" "$release" ;;
    esac
done
