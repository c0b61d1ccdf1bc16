//! The host's store, as the commands use it: names of runs, and its errors, which end in a `help:` line that becomes the way
//! out.

use crate::refusal::Refusal;

/// The run that somebody means: `latest`, `last`, a name, or the beginning of one.
///
/// # Errors
/// There is none, or there are several.
pub fn run_named(state: &agentrc_host::StateDir, asked: &str) -> Result<String, agentrc_host::Error> {
    state.resolve_run(if asked == "last" { "latest" } else { asked })
}

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
