# Each kind of bind does what it says on this kernel; the verdicts are the host's files.
# as: root user
mkdir -p ro rw/.git/hooks copied
echo original >ro/file; echo original >rw/file; echo original >copied/file; echo secret >secret
cat >act.sh <<'END'
#!/bin/sh
echo changed >/work/rw/file
echo changed >/work/copied/file && rm -r /work/copied/gone && mkdir /work/copied/gone && echo changed >/work/copied/gone/new
cat /work/copied/file
(echo changed >/work/ro/file) 2>/dev/null && echo "wrote to ro"
(echo changed >/work/rw/.git/hooks/post-commit) 2>/dev/null && echo "planted a hook"
(echo changed >/work/rw/.envrc) 2>/dev/null && echo "planted an .envrc"
cat /home/case.*/project/secret 2>/dev/null && echo "read a secret"
cat /proc/1/root/etc/shadow 2>/dev/null && echo "read shadow"
exit 0
END
mkdir copied/gone; echo original >copied/gone/old
chmod +x act.sh; touch /etc/shadow
agentfile 'AGENT files' 'CMD ./act.sh' 'BIND ./rw /work/rw rw' 'BIND ./ro /work/ro ro' 'BIND ./copied /work/copied copy'
exits 0 "the agent runs" as_caller agentrc run ./Agentfile
says '^changed$' "a copy can be written, and read back inside"
says_not 'wrote|planted|read' "nothing that was not declared can be done"
check "a rw bind is written through" grep -qx changed rw/file
check "a ro bind is not written" grep -qx original ro/file
check "a copy is not written through" grep -qx original copied/file
check "what was removed in a copy is still there" test -e copied/gone/old
check "no hook was planted" test ! -e rw/.git/hooks/post-commit
check "no .envrc was planted" test ! -s rw/.envrc
exits 0 "the changes to the copy can be seen" as_caller agentrc diff "$(newest_run)"
says 'copied/file|/work/copied/file' "and name the file"
