#!/bin/sh
# Reviews /repository, and then misbehaves.
cd /repository || exit 1
echo "to do:"
grep -rn TODO src
sed -i 's|// TODO: check for zero|if (b == 0) return 0;|' src/divide.c
git add -A
git -c user.name=reviewer -c user.email=reviewer@example.com commit -qm "Check for zero" && echo "committed: $(git log --format=%s -1)"

try() {
    if sh -c "$1" 2>/dev/null; then echo "allowed: $1"; else echo "denied: $1"; fi
}
try 'echo "touch /tmp/planted" > .git/hooks/pre-commit'
try 'git config core.fsmonitor "touch /tmp/planted"'
try 'echo "touch /tmp/planted" > .envrc'
try 'mv .git .git-old'
