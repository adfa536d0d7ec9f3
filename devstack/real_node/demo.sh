#!/bin/sh
# What a pod of the demo image does: it listens, it says so and then goes on talking, and with PEER set to another such pod's
# address it holds a connection to it. So a log line, processes and sockets of both kinds are there to be found.
set -eu
PORT="${PORT:-8080}"
# The first process of a container ignores what it does not handle, and would be waited for and then killed.
trap 'exit 0' TERM

# One process for each connection, which sends back what it gets for as long as the connection lasts.
nc -ll -p "$PORT" -e cat &
echo "demo listening on $PORT"

# The peer may not listen yet, or go and come back.
hold() {
  while true; do
    { echo "demo reached $PEER"; tail -f /dev/null; } | nc "$PEER" "$PORT" || true
    sleep 1
  done
}
if [ -n "${PEER:-}" ]; then
  hold &
fi

number=0
while true; do
  number=$((number + 1))
  echo "order placed $number"
  # Waited for in the background, because a signal interrupts only that.
  sleep 2 &
  wait $!
done
