#!/bin/sh
# Fetches axe-core, which finds barriers in the page, into target/axe. It is no part of the product, so it is not kept with
# it. Without npm, or without the registry, the trials leave it out and say so.
set -eu
cd "$(dirname "$0")/../.."

version=4.14.1
# As the registry states it: https://registry.npmjs.org/axe-core/4.14.1
sha512=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5

folder=target/axe
[ ! -e "$folder/axe.min.js" ] || exit 0
if ! command -v npm >/dev/null; then
    echo "axe-core is left out: npm is not installed, which fetches it" >&2
    exit 0
fi
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
archive=$fetched/axe-core-$version.tgz
if ! (cd "$fetched" && npm pack --silent "axe-core@$version" >/dev/null); then
    echo "axe-core is left out: npm could not fetch it" >&2
    exit 0
fi
echo "$sha512  $archive" | sha512sum --check --quiet
mkdir -p "$folder"
tar xzf "$archive" -C "$folder" --strip-components=1 package/axe.min.js
