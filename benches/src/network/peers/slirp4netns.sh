#!/bin/bash
# slirp4netns is given a network namespace that is there already: its command starts when the interface is up.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/go" "$folder/ready"
unshare --net sh -c 'read -r _ <"$0" && exec "$@"' "$folder/go" "$@" &
program=$!
while [ "$(readlink "/proc/$program/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
# As podman starts it.
slirp4netns --configure --mtu=65520 --disable-host-loopback --enable-sandbox --enable-seccomp --ready-fd=3 \
  "$program" tap0 3>"$folder/ready" >/dev/null &
stack=$!
read -rN1 _ <"$folder/ready"
echo go >"$folder/go"
status=0
wait "$program" || status=$?
kill "$stack"
exit "$status"
