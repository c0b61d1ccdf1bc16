#!/bin/sh
# Reviews /repository, and then misbehaves.
# A step of the review that fails ends it, with that step's exit code: "committed" is said of a commit that is there.
set -e
cd /repository
echo "to do:"
grep -rn TODO src || echo "nothing"
sed -i 's|// TODO: check for zero|if (b == 0) return 0;|' src/divide.c
git add -A
if ! git diff --cached --quiet; then
    git -c user.name=reviewer -c user.email=reviewer@example.com commit -qm "Check for zero"
    echo "committed: $(git log --format=%s -1)"
fi

try() {
    if sh -c "$1" 2>/dev/null; then echo "allowed: $1"; else echo "denied: $1"; fi
}
try 'echo "touch /tmp/planted" > .git/hooks/pre-commit'
try 'git config core.fsmonitor "touch /tmp/planted"'
try 'echo "touch /tmp/planted" > .envrc'
try 'mv .git .git-old'
