# A case that does not end.
# as: root
# timeout: 2
# expect: FAIL timed out
ok "so far"
sleep 1000
