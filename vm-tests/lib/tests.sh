# What is run in the guest: the binary of this tree, and this tree's own integration tests.

# tests_build: builds them the way `cargo test` does, so that nothing is built twice, and sets $AGENTRC.
tests_build() {
  if [ -n "${AGENTRC:-}" ]; then return; fi
  say "building"
  cargo build --quiet --manifest-path "$ROOT/Cargo.toml" -p agentrc --bin agentrc || die "the build failed"
  AGENTRC=${CARGO_TARGET_DIR:-$ROOT/target}/debug/agentrc
}

# image_tests: puts them into the image.
image_tests() { :; }
