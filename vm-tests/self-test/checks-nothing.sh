# A case that says nothing.
# as: root
# expect: FAIL exit code 1
true
