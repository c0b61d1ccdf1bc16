# A sysctl holds during its case.
# as: root
# sysctl: user.max_user_namespaces=0
# expect: ok
check "no user namespace can be made" test "$(cat /proc/sys/user/max_user_namespaces)" = 0
