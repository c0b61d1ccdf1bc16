# A check that does not hold.
# as: root
# expect: FAIL exit code 1
check "false is true" false
ok "the rest still runs"
