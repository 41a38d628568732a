#!/bin/sh
# Builds the pinned control plane (etcd, kube-apiserver, kube-controller-manager, kubectl) and helm
# into the folder given as $1. What is there already, built from these go.mod and go.sum files, is not built again,
# nor what the folder that KUBEBUILDER_ASSETS names has. Go is asked for only when something is left to build.
set -eu

out=${1:?usage: build.sh OUTPUT_FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

programs="etcd kube-apiserver kube-controller-manager kubectl helm"
pin=$(cat "$here/go.mod" "$here/go.sum" "$here/helm/go.mod" "$here/helm/go.sum" | cksum)
# Programs of other pins are of no use to anybody. Stamps once had more in front of the pin.
case $(cat "$out/stamp" 2>/dev/null || true) in
*"$pin") ;;
*)
    (cd "$out" && rm -f $programs)
    printf '%s' "$pin" >"$out/stamp"
    ;;
esac
needed=""
for name in $programs; do
    [ -x "$out/$name" ] || [ -x "${KUBEBUILDER_ASSETS:-$out}/$name" ] || needed="$needed $name"
done
[ -n "$needed" ] || exit 0

command -v go >/dev/null 2>&1 || fail \
    "Go is not installed. It builds the control plane that the tests and the demo run against." \
    "Install Go 1.26 or later from https://go.dev/dl/ and run the command again."
go_version=$(cd "$here" && go env GOVERSION 2>&1) || fail \
    "This Go cannot build the control plane: $go_version" \
    "Install Go 1.26 or later from https://go.dev/dl/ and run the command again."
case $go_version in
go1.2[6-9]* | go1.[3-9][0-9]* | go[2-9]*) ;;
*) fail "The control plane needs Go 1.26 or later; this is $go_version." \
    "Install a newer Go from https://go.dev/dl/, or unset GOTOOLCHAIN so that Go fetches one." ;;
esac

# Clients read the server's version from these variables; without them it is v0.0.0.
release=$(sed -n 's/^[[:space:]]*k8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$here/go.mod")
minor=$(printf '%s' "$release" | cut -d. -f2)
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags="$flags -X $package.gitVersion=$release -X $package.gitMajor=1 -X $package.gitMinor=$minor"
done

# Prints a line whenever another `step` packages are compiled: a cold build takes minutes.
progress() {
    awk -v what="$1" -v step=150 '
        /^[a-zA-Z0-9_.\/-]+$/ { n++; if (n % step == 0) { printf "  %s: %d packages compiled\n", what, n; fflush() }; next }
        { print; fflush() }'
}

build() { # build NAME MODULE_FOLDER PACKAGE
    printf '  building %s\n' "$1"
    status="$out/.$1.status"
    { (cd "$2" && CGO_ENABLED=0 go build -v -trimpath -ldflags "$flags" -o "$out/$1.new" "$3") 2>&1 && echo 0 >"$status" || echo 1 >"$status"; } | progress "$1"
    [ "$(cat "$status")" = 0 ] || fail "building $1 failed; the lines above say why"
    rm -f "$status"
    # Renamed when it is whole: what was interrupted must not pass for a program.
    mv "$out/$1.new" "$out/$1"
}

echo "Building the local control plane, once (Kubernetes $release; about seven minutes on two cores):"
for name in $needed; do
    case $name in
    etcd) build etcd "$here" go.etcd.io/etcd/server/v3 ;;
    helm) build helm "$here/helm" helm.sh/helm/v4/cmd/helm ;;
    *) build "$name" "$here" "k8s.io/kubernetes/cmd/$name" ;;
    esac
done
