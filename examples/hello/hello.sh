#!/bin/sh
# What a program finds in a sandbox with nothing declared.
echo "hello from $(uname -n), as user $(id -u), in $(pwd)"
echo "files beside me: $(ls)"
try() {
    if "$@" 2>/dev/null; then echo "allowed: $*"; else echo "denied: $*"; fi
}
try cat /etc/shadow
try touch /usr/bin/planted
try sh -c ': > /agentrc/src/hello.sh'
