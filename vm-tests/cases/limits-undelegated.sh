# In a session that is not delegated to the user, a limit that needs a cgroup is refused, and the way out is named.
# as: session
agentfile 'AGENT memory' 'CMD touch /work/ran' 'BIND . /work rw' 'LIMIT memory 64MiB'
exits 125 "the run is refused" as_caller agentrc run ./Agentfile
says 'cgroup' "because of the cgroup"
says 'systemd-run --user --scope -p Delegate=yes' "and says how to get one"
says 'Agentfile:4' "and which line needs it"
check "the program has not run" test ! -e ran
agentfile 'AGENT memory' 'CMD touch /work/ran' 'BIND . /work rw'
exits 0 "without the limit it runs" as_caller agentrc run ./Agentfile
check "and does what it does" test -e ran
