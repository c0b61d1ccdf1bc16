# The attacks of tests/escape_files.rs fail on this kernel too.
# as: root
# tests: escape_files
# timeout: 240
tests_pass escape_files
