# What is run in the guest: the binary of this tree, and this tree's own behaviour tests with their attacker.

# tests_build: builds them the way `cargo test --workspace` does, so that nothing is built twice. Sets $AGENTRC, and
# $TESTS to lines of `NAME FILE`.
tests_build() {
  if [ -n "${AGENTRC:-}" ] && [ -z "$(tests_needed)" ]; then return; fi
  say "building"
  TESTS=$(cargo test --quiet --workspace --no-run --message-format=json --manifest-path "$ROOT/Cargo.toml" |
    jq -r 'select(.reason == "compiler-artifact" and .executable != null and (.package_id | test("/agentrc#")) and
      (.target.kind | index("test"))) | "\(.target.name) \(.executable)"') || die "the build failed"
  AGENTRC=${AGENTRC:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/agentrc}
  [ -x "$AGENTRC" ] || die "there is no $AGENTRC"
}

# tests_needed: the tests that cases name in their headers, `# tests: NAME…`.
tests_needed() { for file in "${CASE_FILES[@]}"; do header "$file" tests; done | tr ' ' '\n' | sort -u; }

# image_tests: puts those into the image. Each must exist.
image_tests() {
  local name file
  [ -n "$(tests_needed)" ] || return 0
  for name in $(tests_needed); do
    file=$(sed -n "s/^$name //p" <<<"$TESTS")
    [ -n "$file" ] || die "there is no behaviour test $name"
    image_program "$file" "/guest/tests/$name"
    strip "$IMAGE/guest/tests/$name"
  done
  # What the tests themselves call, beside busybox.
  image_program "$(command -v unshare)"
  "$ROOT/tests/attack/build" --static "$IMAGE/guest/attack" || die "the attacker could not be built"
}
