#!/bin/sh
# Runs a command with access that is asked for before and given back afterwards, also when the command fails.
#
#   with-access.sh NAMESPACE ROLE REASON COMMAND...
#
# ACCESS_FOR is how long access lasts (15m), ACCESS_WAIT how long approvers have (30m), ACCESS_FLAGS more flags of
# `kubectl daypass request`, such as --rule=delete:pods. It ends as the command does, or before it with 3 when access is
# denied and 4 when nobody decided in time.
set -u
namespace=$1 role=$2 reason=$3
shift 3

# shellcheck disable=SC2086 # several flags
request=$(kubectl daypass request "$role" -n "$namespace" --for "${ACCESS_FOR:-15m}" --reason "$reason" \
  --timeout "${ACCESS_WAIT:-30m}" ${ACCESS_FLAGS:-} -o name)
answer=$?

# What nobody decided in time is taken back too: nobody would be there to use it.
case $answer in 0 | 4)
  trap 'kubectl daypass drop "${request##*/}" -n "$namespace" --message "the job is over" >&2' EXIT
  trap 'exit 143' INT TERM
  ;;
esac
[ "$answer" -eq 0 ] || exit "$answer"
"$@"
