#!/bin/sh
# Starts Node as the platform's processes are to run, here and in the image: platform/node.sh <script> [arguments].
# NODE_BINARY names the binary.

# All threads share one pool, not eight for each core: what is free in one is of no use to another.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}"

exec "${NODE_BINARY:-node}" --max-semi-space-size=2 --expose-gc --disable-warning=ExperimentalWarning "$@"
