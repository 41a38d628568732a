#!/bin/sh
# Checks the types of the page's JavaScript. Needs tsc of TypeScript 7: on the PATH, or named by TSC.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
front=$here/../../../src/page/front
# The program carries every file of its folder, so what is for the type checker alone is put beside them in a copy.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$front/." "$copy"
cp "$here/tsconfig.json" "$copy"
cp "$here/vendor/preact-htm.d.ts" "$copy/vendor"
cd "$copy"
"${TSC:-tsc}" --project .
