//! Layer 5: privilege. No capability in any set, the sets sealed (capabilities(7) securebits), no_new_privs, and init
//! itself closed to inspection and tied to the life of its supervisor.

use std::collections::BTreeMap;

use agentfile::plan::Capabilities as Planned;
use rustix::io::Errno;

use super::{Layer, entry};
use crate::prove::{Act, Readings};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};
use crate::sys::kernel;

/// SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, SECBIT_NO_CAP_AMBIENT_RAISE, each with its lock, and the lock of
/// SECBIT_KEEP_CAPS, which stays off (linux/securebits.h).
const SECURE_BITS: u64 = 0b1110_1111;
/// More than any kernel has; the loop ends at the first one that this kernel does not know.
const CAPABILITIES: u32 = 64;

/// The layer; it has no parameters, because nothing is ever kept.
pub(crate) struct Capabilities;

impl Capabilities {
    /// Refuses a plan that asks for anything but nothing.
    pub(crate) fn prepare(planned: &Planned) -> Result<Self, Refusal> {
        if planned.keep.is_empty() && planned.no_new_privs {
            Ok(Self)
        } else {
            Err(Refusal::new(Step::CapabilitySets, "a plan that keeps capabilities cannot be run"))
        }
    }
}

impl Layer for Capabilities {
    fn name(&self) -> &'static str {
        "capabilities"
    }

    fn apply(&self) -> Result<(), Failure> {
        run(Step::SecureBits, 0, || kernel::set_securebits(SECURE_BITS))?;
        run(Step::BoundingSet, 0, || {
            for capability in 0..CAPABILITIES {
                if !kernel::drop_bounding(capability)? {
                    return if capability > 0 { Ok(()) } else { Err(Errno::INVAL) };
                }
            }
            Ok(())
        })?;
        run(Step::AmbientSet, 0, kernel::clear_ambient)?;
        run(Step::CapabilitySets, 0, kernel::clear_capabilities)?;
        run(Step::NoNewPrivs, 0, kernel::set_no_new_privs)?;
        run(Step::Undumpable, 0, kernel::set_undumpable)?;
        // After the last change of credentials: each of those clears it (prctl(2)).
        run(Step::DieWithParent, 0, kernel::die_with_parent)
    }

    fn probes(&self) -> &'static [Act] {
        &[Act::RaiseLoopback]
    }

    fn read_back(&self, readings: &Readings) -> Result<BTreeMap<String, String>, Refusal> {
        let mut seen = BTreeMap::new();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let value = readings.status(set)?;
            if !value.chars().all(|digit| digit == '0') || value.is_empty() {
                return Err(Refusal::new(
                    Step::ReadBack,
                    format!("the agent still has capabilities: {set} {value}"),
                ));
            }
            seen.extend([entry(set, value)]);
        }
        let no_new_privs = readings.status("NoNewPrivs")?;
        if no_new_privs != "1" {
            return Err(Refusal::new(Step::ReadBack, "no_new_privs is not set"));
        }
        seen.extend([entry("NoNewPrivs", no_new_privs)]);
        Ok(seen)
    }
}
