# Where nobody may make a user namespace, root is refused with the reason.
# as: root
# sysctl: user.max_user_namespaces=0
agentfile 'AGENT hello' 'CMD touch /work/ran' 'BIND . /work rw'
exits 125 "the run is refused" as_caller agentrc run ./Agentfile
says 'user namespaces' "because of user namespaces"
check "the program has not run" test ! -e ran
exits 1 "doctor finds something missing" as_caller agentrc doctor
says 'user.max_user_namespaces=[1-9]' "and gives the setting"
