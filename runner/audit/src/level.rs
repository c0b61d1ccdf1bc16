//! Which events each `AUDIT` level records.

pub use agentfile::plan::AuditLevel;

use crate::event::Event;

/// The lowest level at which an event of this kind is recorded. This is the whole table: start and end always, what the
/// agent was denied and what the broker does for it from `basic` on, what the gateway permits from `all` on.
#[must_use]
pub fn lowest(event: &Event) -> AuditLevel {
    match event {
        Event::Armed { .. } | Event::Refused { .. } | Event::Killed { .. } | Event::Ended { .. } => {
            AuditLevel::Off
        }
        Event::Limit { .. }
        | Event::Denial(_)
        | Event::Call { .. }
        | Event::Result { .. }
        | Event::Server { .. }
        | Event::Health { .. }
        | Event::Asked { .. }
        | Event::Decided { .. } => AuditLevel::Basic,
        Event::Permitted { .. } => AuditLevel::All,
    }
}

/// Whether `level` records `event`.
#[must_use]
pub fn wanted(level: AuditLevel, event: &Event) -> bool {
    level >= lowest(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Denial, samples};

    #[test]
    fn off_records_start_and_end_only() {
        let kept: Vec<_> = samples().into_iter().filter(|event| wanted(AuditLevel::Off, event)).collect();
        assert_eq!(kept.len(), 4);
        assert!(
            !kept.iter().any(|event| matches!(event, Event::Denial(Denial { .. }) | Event::Limit { .. }))
        );
    }

    #[test]
    fn basic_records_all_but_what_is_permitted() {
        let left: Vec<_> = samples().into_iter().filter(|event| !wanted(AuditLevel::Basic, event)).collect();
        assert!(matches!(left[..], [Event::Permitted { .. }]));
    }

    #[test]
    fn all_and_above_record_everything_that_exists() {
        for level in [AuditLevel::All, AuditLevel::Compliance] {
            assert!(samples().iter().all(|event| wanted(level, event)), "{level:?}");
        }
    }
}
