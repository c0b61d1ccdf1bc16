//! Strict validation of written policies against `policies/agentrc.cedarschema`.

use std::sync::OnceLock;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic as _;

use super::{Policy, relocate};
use crate::base::CEDAR_SCHEMA;
use crate::diag::Diagnostic;

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
    let by_id: std::collections::HashMap<&str, &Policy> =
        policies.iter().map(|policy| (policy.id.as_str(), policy)).collect();
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
        diagnostic.help = error.help().map(|help| help.to_string()).or_else(|| {
            Some("`agentrc support` lists the actions, their resources and what `context` holds".to_owned())
        });
        found.push(diagnostic);
    }
    // The validator's order is a hash map's.
    found.sort_by(|one, other| (one.span, &one.message).cmp(&(other.span, &other.message)));
    diagnostics.append(&mut found);
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
