//! What a network adds to a launch: `/bin/true` in sandboxes that differ in nothing else.

use super::{Stage, route};
use crate::measure;

/// Uncounted launches of each kind.
const WARM_UP: usize = 3;

/// One kind of launch: its name, and the milliseconds that each took.
pub(super) struct Launch {
    pub(super) name: &'static str,
    pub(super) wall: Vec<f64>,
}

/// One of each kind, then the next round.
pub(super) fn measure(stage: &Stage, rounds: usize) -> Result<Vec<Launch>, String> {
    let mut kinds = vec![(Launch { name: "no network", wall: Vec::new() }, "")];
    for route in route::ROUTES {
        kinds.push((Launch { name: route.name, wall: Vec::new() }, route.declared));
    }
    for round in 0..WARM_UP + rounds {
        for (launch, lines) in &mut kinds {
            let sample = measure::finish(stage.inside(lines, "/bin/true")?)
                .map_err(|error| format!("launch, {}: {error}", launch.name))?;
            if round >= WARM_UP {
                launch.wall.push(sample.wall.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(kinds.into_iter().map(|(launch, _)| launch).collect())
}
