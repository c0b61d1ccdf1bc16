//! The system call filter: one profile, whose table is data of the release; the plan holds its digest.

use crate::base::{SECCOMP_FILE, SECCOMP_TABLE};
use crate::plan::{Origin, Seccomp, digest};

/// Name of the profile; a test holds it equal to the table's own.
pub(crate) const PROFILE: &str = "agent";

/// The one profile.
pub(super) fn lower() -> Seccomp {
    Seccomp {
        profile: PROFILE.to_owned(),
        table_sha256: digest::sha256_hex(SECCOMP_TABLE.as_bytes()),
        origin: Origin::builtin(SECCOMP_FILE),
    }
}
