# The attacks of tests/escape_process.rs fail on this kernel too.
# as: root
# tests: escape_process
# timeout: 240
tests_pass escape_process
