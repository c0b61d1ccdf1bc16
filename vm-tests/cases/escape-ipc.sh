# The attacks of tests/escape_ipc.rs fail on this kernel too.
# as: root
# tests: escape_ipc
# timeout: 240
tests_pass escape_ipc
