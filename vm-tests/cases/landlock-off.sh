# A kernel that was booted without Landlock: refused, for root too, and doctor gives the boot parameter.
# as: root user
# boot: lsm=yama,apparmor
agentfile 'AGENT hello' 'CMD touch /work/ran' 'BIND . /work rw'
check "Landlock is off" test -z "$(grep landlock /sys/kernel/security/lsm)"
exits 125 "the run is refused" as_caller agentrc run ./Agentfile
says 'landlock' "because of Landlock"
says 'agentrc doctor' "and points to doctor"
check "the program has not run" test ! -e ran
exits 1 "doctor finds something missing" as_caller agentrc doctor
says 'lsm=landlock,[a-z,]*yama,apparmor' "and gives the boot parameter, with the other modules kept"
