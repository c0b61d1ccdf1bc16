//! Between the record of an armed run and its go: what the broker reaches by the network, so that it is on record, and before the
//! agent could ask for it.

use std::time::Duration;

use crate::arming::{hear, heed};
use crate::beside::Beside;
use crate::launch::refused;
use crate::layer::mounts::Mounts;
use crate::refusal::Refusal;
use crate::step::Step;
use crate::supervise::{Sandbox, Woken};
use crate::{Recorder, Unopened};

/// Between two looks at the time.
const LOOK: Duration = Duration::from_millis(250);

/// Hears what is beside the sandbox until the broker is up.
///
/// # Errors
/// It does not come up, something beside the sandbox ends, or a signal came.
pub(crate) fn rise(
    sandbox: &Sandbox,
    beside: &mut Beside<'_, '_>,
    mounts: &Mounts,
    recorder: &mut dyn Recorder,
) -> Result<(), Refusal> {
    let refused = |unopened| refused(Step::ServeBroker, unopened);
    let unopened = |reason| Unopened { reason, help: None };
    loop {
        // That may take a while, in which the host goes on.
        let holds = sandbox.still_holds(mounts).and_then(|()| recorder.check());
        holds.map_err(|reason| refused(unopened(reason)))?;
        if beside.is_up().map_err(refused)? {
            return Ok(());
        }
        match sandbox.next(None, LOOK) {
            Ok(Woken::Signal(signal)) => heed(signal)?,
            Ok(Woken::Outside(who)) => {
                if let Err(reason) = beside.heard(who, sandbox.pid, recorder) {
                    let help = beside.help(&reason);
                    return Err(refused(Unopened { reason, help }));
                }
            }
            Ok(Woken::Tick | Woken::Mounts) => {}
            Ok(Woken::Message(_) | Woken::Dead) => {
                let reason = "the sandbox ended before its command was executed";
                return Err(Refusal::new(Step::ServeBroker, reason));
            }
            Err(errno) => return Err(hear(errno)),
        }
    }
}
