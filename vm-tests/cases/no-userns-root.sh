# Where user namespaces are forbidden to ordinary users, root can still run.
# as: root
# sysctl: kernel.unprivileged_userns_clone=0
agentfile 'AGENT hello' 'CMD /bin/echo hello from inside'
exits 0 "the program runs" as_caller agentrc run ./Agentfile
says '^hello from inside$' "its output comes out"
