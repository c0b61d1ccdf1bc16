# And not after it.
# as: root
# expect: ok
check "user namespaces can be made again" test "$(cat /proc/sys/user/max_user_namespaces)" != 0
