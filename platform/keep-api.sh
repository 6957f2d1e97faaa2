#!/bin/sh
# Runs the API in its container: tini -g -- platform/keep-api.sh <command>. An API that ends by itself is started again here:
# kubelet takes a whole pod out of service while one of its containers is down, and the gate could serve its apps no more.
# An API that ends soon after its start is left to kubelet, which waits longer each time.

STEADY_SECONDS=10

# tini -g sends the signal to the API as well.
trap 'stopping=yes' TERM INT
while :; do
  started=$(date +%s)
  "$@" && exit 0
  status=$?
  [ -z "$stopping" ] && [ $(($(date +%s) - started)) -ge $STEADY_SECONDS ] || exit $status
  echo "{\"level\":\"error\",\"msg\":\"the API ended with status $status; starting it again\"}"
done
