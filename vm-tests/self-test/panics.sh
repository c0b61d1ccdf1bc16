# A case that takes the kernel with it.
# as: root
# boot: agentrc.self=panic
# expect: FAIL did not end
ok "so far"
echo c >/proc/sysrq-trigger
