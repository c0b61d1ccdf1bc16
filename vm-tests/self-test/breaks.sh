# A case with a syntax error.
# as: root
# expect: FAIL exit code
if then
