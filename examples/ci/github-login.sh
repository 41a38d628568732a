#!/bin/sh
# A login for kubectl and whatever else reads a kubeconfig: an ID token of this GitHub workflow. One lasts some minutes,
# so a new one is asked for whenever the last one ended.
#
#   github-login.sh AUDIENCE
set -eu
answer=$(curl -sSf -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$1")
token=$(printf %s "$answer" | jq -r .value)
end=$(date -u -d '+4 minutes' +%Y-%m-%dT%H:%M:%SZ)
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",'
printf '"status":{"token":"%s","expirationTimestamp":"%s"}}\n' "$token" "$end"
