//! Strict validation of written policies against `policies/agentrc.cedarschema`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::OnceLock;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic as _;

use super::{Policy, relocate};
use crate::base::CEDAR_SCHEMA;
use crate::diag::Diagnostic;
use crate::span::Span;

/// Where the vocabulary is.
const HELP: &str = "`agentrc support` lists the actions, their resources and what `context` holds";

/// The schema, parsed once per process: it costs more than all the rest of a small file's compilation.
pub(crate) fn validator() -> Option<&'static Validator> {
    static VALIDATOR: OnceLock<Option<Validator>> = OnceLock::new();
    VALIDATOR
        .get_or_init(|| {
            Schema::from_cedarschema_str(CEDAR_SCHEMA).ok().map(|(schema, _)| Validator::new(schema))
        })
        .as_ref()
}

/// Reports what strict validation finds in `policies`. Ids are unique.
pub(crate) fn validate(policies: &[Policy], diagnostics: &mut Vec<Diagnostic>) {
    let Some(first) = policies.first() else { return };
    let refuse = |message: String| Diagnostic::error("E061", first.place.span, message);
    let Some(validator) = validator() else {
        diagnostics.push(refuse("the policy schema of this build cannot be read".to_owned()));
        return;
    };
    let mut set = PolicySet::new();
    for policy in policies {
        let added = set.add(policy.parsed.new_id(cedar_policy::PolicyId::new(&policy.id)));
        if let Err(error) = added.map_err(|error| error.to_string()) {
            diagnostics.push(Diagnostic::error("E061", policy.place.span, error));
            return;
        }
    }
    let by_id: HashMap<&str, &Policy> = policies.iter().map(|policy| (policy.id.as_str(), policy)).collect();
    let result = validator.validate(&set, ValidationMode::Strict);
    let mut found = Vec::new();
    for error in result.validation_errors() {
        let id = error.policy_id().to_string();
        let Some(policy) = by_id.get(id.as_str()) else {
            diagnostics.push(refuse(error.to_string()));
            continue;
        };
        let at =
            error.labels().and_then(|mut labels| labels.next()).map(|label| (label.offset(), label.len()));
        let mut diagnostic = Diagnostic::error(
            "E061",
            relocate(at, policy.place.span),
            format!("this policy does not fit the schema: {}", without_id(&error.to_string(), &id)),
        );
        diagnostic.help = error.help().map(|help| help.to_string()).or_else(|| Some(HELP.to_owned()));
        found.push(diagnostic);
    }
    // The validator's order is a hash map's.
    found.sort_by(|one, other| (one.span, &one.message).cmp(&(other.span, &other.message)));
    diagnostics.append(&mut once_for_all_actions(found));
}

/// The validator says of every action that a policy takes in what is wrong once for the policy: keeps one of those that
/// differ by nothing but the action. `found` is sorted.
fn once_for_all_actions(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut kept: Vec<(Diagnostic, usize)> = Vec::new();
    let mut known: HashMap<(Span, String), usize> = HashMap::new();
    for diagnostic in found {
        match known.entry((diagnostic.span, without_action(&diagnostic.message))) {
            Entry::Occupied(entry) => {
                if let Some((first, more)) = kept.get_mut(*entry.get()) {
                    *more += usize::from(first.message != diagnostic.message);
                }
            }
            Entry::Vacant(entry) => {
                entry.insert(kept.len());
                kept.push((diagnostic, 0));
            }
        }
    }
    let say = |(mut diagnostic, more): (Diagnostic, usize)| {
        if more > 0 {
            let actions = if more == 1 { "action" } else { "actions" };
            diagnostic.message = format!("{} (the same for {more} other {actions})", diagnostic.message);
            // Cedar's help is about the one action.
            diagnostic.help = Some(HELP.to_owned());
        }
        diagnostic
    };
    kept.into_iter().map(say).collect()
}

/// `message` without the names of actions in it.
fn without_action(message: &str) -> String {
    const ACTION: &str = "AgentRC::Action::\"";
    let mut parts = message.split(ACTION);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(ACTION);
        out.push_str(part.split_once('"').map_or(part, |(_, rest)| rest));
    }
    out
}

/// Whether `policies`, whose ids are unique, all pass strict validation.
pub(crate) fn fits(policies: impl IntoIterator<Item = cedar_policy::Policy>) -> Result<(), String> {
    let validator = validator().ok_or("the policy schema of this build cannot be read")?;
    let set = PolicySet::from_policies(policies).map_err(|error| error.to_string())?;
    let result = validator.validate(&set, ValidationMode::Strict);
    let mut errors: Vec<String> = result.validation_errors().map(ToString::to_string).collect();
    errors.sort();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}

/// Cedar begins its messages with the policy's id, which the place says better.
fn without_id<'a>(message: &'a str, id: &str) -> &'a str {
    message.strip_prefix(&format!("for policy `{id}`, ")).unwrap_or(message)
}
