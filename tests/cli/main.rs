//! The command line as a user meets it: each command's good and bad ways, exit codes, JSON, hostile names.

// For clippy, which takes helpers for tests only where it is said.
#[cfg(test)]
mod kept;
#[cfg(test)]
mod language;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod words;
