# Memory, processes and CPU are bounded by a cgroup of the run, made in one that is delegated to the caller.
# as: root user
agentfile 'AGENT memory' 'CMD dd if=/dev/zero of=/dev/null bs=8M count=1' 'LIMIT memory 64MiB'
exits 0 "a program that stays below its memory runs" as_caller agentrc run ./Agentfile
agentfile 'AGENT memory' 'CMD dd if=/dev/zero of=/dev/null bs=200M count=1' 'LIMIT memory 64MiB'
exits 137 "one that does not is killed" as_caller agentrc run ./Agentfile
logged '"limit":"memory".*"outcome":"killed"' "the log says by which limit"

cat >forks.sh <<'END'
#!/bin/sh
i=0
while [ $i -lt "$1" ]; do sleep 20 & i=$((i + 1)); done
echo "all started"
END
chmod +x forks.sh
agentfile 'AGENT pids' 'CMD ./forks.sh 5' 'LIMIT pids 16'
exits 0 "a program that stays below its number of processes runs" as_caller agentrc run ./Agentfile
says 'all started' "to its end"
agentfile 'AGENT pids' 'CMD ./forks.sh 40' 'LIMIT pids 16'
OUTPUT=$(as_caller agentrc run ./Agentfile 2>&1)
check "one that does not cannot fork" test "${OUTPUT/all started/}" = "$OUTPUT"
logged '"limit":"pids".*"outcome":"denied"' "the log says by which limit"

printf '#!/bin/sh\nwhile :; do :; done\n' >spin.sh
chmod +x spin.sh
agentfile 'AGENT cpu' 'CMD ./spin.sh' 'SLICE cpu=0.2 mem=64'
as_caller agentrc run ./Agentfile &
supervisor=$!
the_cgroup() { find /sys/fs/cgroup -type d -name 'agentrc-*' ! -name agentrc-supervisor | grep .; }
# The cgroup is there before its limits are: they must hold when the program runs, and not before.
check "the program runs" within 10 pgrep -x spin.sh
check "the run has a cgroup" the_cgroup
group=$(the_cgroup)
throttled() { [ "$(sed -n 's/^nr_throttled //p' "$group/cpu.stat")" -gt 0 ]; }
check "it is throttled" within 10 throttled
check "its CPU is a fifth of one" grep -qx '20000 100000' "$group/cpu.max"
check "its memory is 64 MiB" grep -qx $((64 << 20)) "$group/memory.max"
pkill -TERM -x agentrc
wait $supervisor
check "the run ends with the signal" test $? -eq 143
OUTPUT=$(the_cgroup)
says_not . "no cgroup is left"
