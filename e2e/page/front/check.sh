#!/bin/sh
# Checks the types of the page's JavaScript by tsc of TypeScript 7: the one that TSC names, or one that is fetched into
# target/tsc. It is no part of the product, so it is not kept with it. Without npm, or on another machine than one that it is
# pinned for here, the check is left out and says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
front=$here/../../../src/page/front
version=7.0.2
# As the registry of npm states them.
case "$(uname -s)-$(uname -m)" in
Linux-x86_64)
    machine=linux-x64
    sha512=11875fd9c360eeb8025899f109d27e177577f4ef2285bdfb78702ed4b2bca00162ce04d06cf38aef31c75db3edf2b5f6e023aa3835de237b087f47c25c6ec7fc
    ;;
Linux-aarch64)
    machine=linux-arm64
    sha512=421e1e538ff2df20e39df8e3c8f62284c8f9fce0c8966b7e073bb5ece23e7e24910d6e7b4265394a237addec4f44d24f294cdc73520d6b535776b27e32a1e351
    ;;
*) machine= ;;
esac

left_out() {
    echo "the types of the page are not checked: $1" >&2
    exit 0
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$here/../../../target/tsc
if [ -z "${TSC:-}" ] && [ ! -x "$folder/lib/tsc" ]; then
    [ -n "$machine" ] || left_out "no compiler is pinned for $(uname -s) on $(uname -m); name one by TSC"
    command -v npm >/dev/null || left_out "npm is not installed, which fetches the compiler"
    archive=$work/typescript-typescript-$machine-$version.tgz
    (cd "$work" && npm pack --silent "@typescript/typescript-$machine@$version" >/dev/null) ||
        left_out "npm could not fetch the compiler"
    echo "$sha512  $archive" | sha512sum --check --quiet
    mkdir -p "$folder"
    tar xzf "$archive" -C "$folder" --strip-components=1
fi

# The program carries every file of its folder, so what is for the type checker alone is put beside them in a copy.
mkdir "$work/front"
cp -R "$front/." "$work/front"
cp "$here/tsconfig.json" "$work/front"
cp "$here/vendor/preact-htm.d.ts" "$work/front/vendor"
cd "$work/front"
"${TSC:-$folder/lib/tsc}" --project .
echo "the types of the page's $(find . -name '*.js' | wc -l) scripts are right"
