# A case that is never reached, because the one before it took the kernel with it (the order is alphabetical).
# as: user
# boot: agentrc.self=panic
# expect: FAIL did not run
ok "never reached"
