# Short names for what CONTRIBUTING.md describes. Every recipe calls cargo or a script that works without `just`.

# The list of recipes.
default:
    @just --list

# All tests: the language, the sandbox, the attacks, the examples (as root also as an ordinary user).
test:
    cargo test --workspace

# Formatting and lints, as CI demands them.
lint:
    .ci/run lint

# What the compiler cannot say: crate budget, layering, unsafe, length of files.
check:
    .ci/checks

# Build the egress filter's BPF object anew, which is committed (clang 14); `--check` only compares.
ebpf *options:
    ebpf/build {{options}}

# Start-up and steady state beside every peer that this machine has, and as root the network beside none: Markdown tables.
bench *options:
    benches/run {{options}}
    benches/run --broker {{options}}
    benches/run --network {{options}}

# Boot Debian's 6.1 and 6.12, and run the cases there.
vm-test *options:
    vm-tests/run {{options}}

# Everything that must hold before a change lands.
ci *steps:
    .ci/run {{steps}}
