# A program runs, and the log says what held: also on a kernel with this Landlock ABI.
# as: root user
agentfile 'AGENT hello' 'CMD /bin/echo hello from inside'
exits 0 "the program runs to its end" as_caller agentrc run ./Agentfile
says '^hello from inside$' "its output comes out"
logged '"run.armed"' "the log has the evidence"
logged '"abi":"'"$LANDLOCK_ABI"'"' "Landlock was used at ABI $LANDLOCK_ABI, the kernel's own"
logged '"run.ended"' "the log has the end"
exits 0 "the log verifies" as_caller agentrc audit verify
exits 0 "doctor finds nothing missing that a run needs" as_caller agentrc doctor

agentfile 'AGENT fails' 'CMD /bin/false'
exits 1 "the program's exit code is agentrc's" as_caller agentrc run ./Agentfile
