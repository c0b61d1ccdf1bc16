//! The command line as a user meets it: each command's good and bad ways, exit codes, JSON, hostile names.

mod kept;
mod machine;
mod support;
mod words;
