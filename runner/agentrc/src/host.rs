//! Errors of the host's store, as refusals: they end in `help:` lines, which become the way out.

use crate::refusal::Refusal;

/// Any error whose text may end in a `help:` line.
#[must_use]
pub fn refusal(error: &dyn std::error::Error) -> Refusal {
    let text = error.to_string();
    match text.split_once("\n  help: ") {
        Some((reason, help)) => Refusal::new(reason).help(help),
        None => Refusal::new(text),
    }
}

impl From<agentrc_host::Error> for crate::refusal::Failure {
    fn from(error: agentrc_host::Error) -> Self {
        refusal(&error).into()
    }
}

impl From<agentrc_audit::Error> for crate::refusal::Failure {
    fn from(error: agentrc_audit::Error) -> Self {
        refusal(&error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_line_of_an_error_becomes_the_way_out() {
        let error = agentrc_host::Error::NoRun("x".to_owned());
        let refusal = refusal(&error);
        assert_eq!(refusal.reason, "no run is called `x`");
        assert_eq!(refusal.help.as_deref(), Some("`agentrc runs` lists them"));
    }
}
