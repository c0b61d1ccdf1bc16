# A case that passes, so that the self-test is not satisfied by failures alone.
# as: root user session
# expect: ok
check "the kernel is the one that was asked for" test -n "$LANDLOCK_ABI"
exits 0 "runs as the caller" as_caller id -u
says "^$OWNER\$" "the caller has its own user id"
exits 0 "has an environment from scratch" as_caller env
says '^XDG_STATE_HOME=' "with a state directory"
check "is in a cgroup of its own" as_caller grep -q scope /proc/self/cgroup
