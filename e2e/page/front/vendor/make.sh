#!/bin/sh
# Makes preact-htm.js anew, byte for byte, from what npm has of these versions. Run it in an empty folder, and copy the
# file that it leaves there over src/page/front/vendor/preact-htm.js. A change of version changes the SHA-256 that a test holds.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
npm install --no-save --ignore-scripts preact@11.2.0 htm@3.1.1 esbuild@0.28.2
cat > entry.js <<'ENTRY'
import { h, render, Fragment, createContext } from 'preact';
import { useState, useEffect, useLayoutEffect, useMemo, useCallback, useRef, useReducer, useContext, useId } from 'preact/hooks';
import htm from 'htm';
const html = htm.bind(h);
export {
  h, html, render, Fragment, createContext,
  useState, useEffect, useLayoutEffect, useMemo, useCallback, useRef, useReducer, useContext, useId,
};
ENTRY
node node_modules/esbuild/install.js
node_modules/.bin/esbuild entry.js --bundle --minify --format=esm --target=es2022 --legal-comments=none \
  --outfile=bundle.js
{ cat "$here/header.txt"; cat bundle.js; } > preact-htm.js
