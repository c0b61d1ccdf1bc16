//! The agent's environment: the plan's, what the caller's side adds for the run, and the type of the terminal.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use agentfile::plan::EnvironmentVariable;

use crate::refusal::Refusal;
use crate::resolve::c_string;
use crate::step::{Step, run};

/// The one variable of the caller's environment that goes in.
const TERM: &str = "TERM";

/// Each as `NAME=value`. What is `added` must not be what the plan sets, nor the type of the terminal.
pub(crate) fn of(
    planned: &[EnvironmentVariable],
    added: &[(OsString, OsString)],
    terminal: bool,
) -> Result<Vec<CString>, Refusal> {
    run(Step::Environment, 0, || Ok(()))?;
    let mut variables = Vec::with_capacity(planned.len() + added.len() + 1);
    for variable in planned {
        variables.push(c_string(format!("{}={}", variable.name, variable.value).as_bytes())?);
    }
    for (at, (name, value)) in added.iter().enumerate() {
        let plan = planned.iter().find(|variable| OsStr::new(&variable.name) == name);
        let twice = name == TERM || added.iter().take(at).any(|(earlier, _)| earlier == name);
        // The value may be a secret's stand-in: no message has it.
        let refuse = |why: &str| {
            Refusal::new(Step::Environment, format!("the variable `{}` {why}", name.to_string_lossy()))
        };
        if let Some(variable) = plan {
            return Err(refuse("is set by the plan").at(&variable.origin).help("choose another name"));
        }
        if twice {
            return Err(refuse("is set twice").help("choose another name"));
        }
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            return Err(refuse("has no name that a program could ask for"));
        }
        let mut variable = name.as_bytes().to_vec();
        variable.push(b'=');
        variable.extend_from_slice(value.as_bytes());
        variables.push(CString::new(variable).map_err(|_| refuse("has a NUL byte"))?);
    }
    if terminal && let Some(term) = std::env::var(TERM).ok().filter(|term| harmless(term)) {
        variables.push(c_string(format!("{TERM}={term}").as_bytes())?);
    }
    Ok(variables)
}

/// A terminal type as terminfo(5) names them.
fn harmless(term: &str) -> bool {
    !term.is_empty()
        && term.len() < 64
        && term.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use agentfile::plan::Origin;

    use super::*;

    fn with(added: &[(&str, &str)]) -> Result<Vec<CString>, Refusal> {
        let planned = EnvironmentVariable {
            name: "PATH".to_owned(),
            value: "/bin".to_owned(),
            origin: Origin { file: "Agentfile".to_owned(), line: 3, column: 1 },
        };
        let added: Vec<_> = added.iter().map(|(name, value)| (name.into(), value.into())).collect();
        of(&[planned], &added, false)
    }

    #[test]
    fn what_is_added_comes_behind_the_plans() {
        assert_eq!(with(&[("TOKEN", "a=b")]).unwrap(), [c"PATH=/bin".to_owned(), c"TOKEN=a=b".to_owned()]);
    }

    #[test]
    fn a_name_that_is_taken_or_none_is_refused_and_no_value_is_repeated() {
        for added in [
            &[("PATH", "secret")][..],
            &[("TERM", "secret")],
            &[("A", "secret"), ("A", "secret")],
            &[("", "secret")],
            &[("A=B", "secret")],
            &[("A", "secret\0more")],
        ] {
            let refusal = with(added).unwrap_err();
            assert_eq!(refusal.step, Step::Environment, "{added:?}");
            assert!(!refusal.to_string().contains("secret"), "{refusal}");
        }
        assert_eq!(with(&[("PATH", "/x")]).unwrap_err().origin.unwrap().line, 3);
    }
}
