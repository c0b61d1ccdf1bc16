//! `POLICY` blocks, after parsing: ids, validation, names that nothing declares, and what the kernel has to hold.

use std::collections::{HashMap, HashSet};

use cedar_policy::pst::{self, EntityUID};

use super::Check;
use crate::diag::Diagnostic;
use crate::policy::{Policy, names, schema};
use crate::syntax::Verb;

impl Check<'_> {
    pub(super) fn finish_policies(&mut self) {
        let mut access = self.access();
        self.resolve_rules(&mut access);
        self.policy_ids();
        // Reads the schema only when there is a policy.
        schema::validate(&self.out.policies, &mut self.diagnostics);
        let policies = std::mem::take(&mut self.out.policies);
        self.unknown_names(&policies);
        self.requests_of_tcp(&policies);
        for policy in &policies {
            self.slashless_prefixes(policy);
            self.filesystem(policy, &mut access);
        }
        for rule in self.out.rules.clone() {
            if let (false, crate::boundary::Object::Path(path)) = (rule.allow, &rule.object) {
                let denied = if rule.verb == Verb::Write {
                    crate::boundary::Denied::Write
                } else {
                    crate::boundary::Denied::Read
                };
                self.deny_subtree(&mut access, path, false, denied, &rule.place);
            }
        }
        self.out.denials = access.into_denials();
        self.out.policies = policies;
    }

    /// Ids are unique: made from the line where none is written, with a number behind the line's second statement.
    fn policy_ids(&mut self) {
        let mut first: HashMap<String, crate::span::Span> = HashMap::new();
        // Where the search for a free number goes on, by id: a line may have thousands of statements.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut duplicates = Vec::new();
        for policy in &mut self.out.policies {
            let written = policy.body.annotations.contains_key("id");
            if !written && first.contains_key(&policy.id) {
                let number = numbers.entry(policy.id.clone()).or_insert(2);
                while first.contains_key(&format!("{}.{number}", policy.id)) {
                    crate::work::add(1);
                    *number += 1;
                }
                policy.id = format!("{}.{number}", policy.id);
                policy.body.id = pst::PolicyID(policy.id.as_str().into());
            }
            let made = policy.id.rsplit_once('@').is_some_and(|(_, line)| line.parse::<u32>().is_ok());
            if written && made {
                duplicates.push(
                    Diagnostic::error(
                        "E063",
                        policy.place.span,
                        format!("the id `{}` is one of the compiler's own", policy.id),
                    )
                    .help("choose an id that does not end in `@` and a number"),
                );
            }
            if let Some(other) = first.get(&policy.id) {
                duplicates.push(
                    Diagnostic::error(
                        "E063",
                        policy.place.span,
                        format!("two policies have the id `{}`", policy.id),
                    )
                    .help("an id names one policy in denials and in the audit log: change one")
                    .related(*other, "the first is here"),
                );
            } else {
                first.insert(policy.id.clone(), policy.place.span);
            }
            if policy.approval.is_some() && !policy.permits() {
                duplicates.push(
                    Diagnostic::error("E067", policy.place.span, "`@approval` on a `forbid`").help(
                        "an approval can only make a `permit` wait for a person; a `forbid` always holds",
                    ),
                );
            }
        }
        if !duplicates.is_empty() {
            let mut kept = HashSet::new();
            self.out.policies.retain(|policy| kept.insert(policy.id.clone()));
            self.diagnostics.append(&mut duplicates);
        }
    }

    fn unknown_names(&mut self, policies: &[Policy]) {
        if policies.is_empty() {
            return;
        }
        let out = &self.out;
        let mut known: HashSet<(&str, String)> = HashSet::new();
        known.insert(("Agent", out.agent.clone()));
        known.extend(out.tools.iter().map(|tool| ("Tool", tool.entity.clone())));
        known.extend(out.functions.iter().map(|function| ("Function", function.symbol.clone())));
        known.extend(out.skills.iter().map(|skill| ("Skill", skill.entity.clone())));
        known.extend(out.credentials.iter().map(|credential| ("Credential", credential.name.clone())));
        known.extend(out.memories.iter().map(|memory| ("Memory", memory.name.clone())));
        known.extend(out.servers.iter().map(|server| ("MCPServer", server.name.clone())));
        known.extend(out.mcp.iter().map(|mcp| ("MCPServer", mcp.name.clone())));
        let open = !out.toolsets.is_empty() || !out.mcp.is_empty() || !out.servers.is_empty();
        let mut found = Vec::new();
        for policy in policies {
            for EntityUID { ty, eid } in names::of(&policy.body) {
                let kind = ty.0.id.as_str();
                if kind == "Host" && !is_one_spelling(&eid) {
                    let message = format!("no host is called `{eid}`, so this policy never holds of one");
                    found.push(Diagnostic::warning("W023", policy.place.span, message).help(
                        "policies know a host by its name in lower case, without scheme, port and trailing dot, as \
                         `*.suffix`, or by its address",
                    ));
                }
                if matches!(kind, "Action" | "Path" | "Host")
                    || known.contains(&(kind, eid.to_string()))
                    || open && kind == "Tool"
                    || kind == "Agent" && !is_principal(&policy.body, &eid)
                {
                    continue;
                }
                let (code, message, help) = if kind == "Agent" {
                    let message =
                        format!("this policy is for the agent `{eid}`, and never holds for `{}`", out.agent);
                    ("W024", message, format!("write `AgentRC::Agent::\"{}\"`", out.agent))
                } else {
                    let message = format!("no line declares the {} `{eid}`", kind.to_lowercase());
                    let bare = eid.split_once(':').map(|(_, name)| name);
                    let help = match bare
                        .filter(|bare| kind == "Tool" && known.contains(&("Tool", (*bare).to_owned())))
                    {
                        Some(bare) => {
                            format!("policies know a tool by its name: `AgentRC::Tool::\"{bare}\"`")
                        }
                        None => "check the spelling, or declare it".to_owned(),
                    };
                    ("W023", message, help)
                };
                found.push(Diagnostic::warning(code, policy.place.span, message).help(help));
            }
        }
        self.diagnostics.append(&mut found);
    }

    /// `like "/workspace*"` also takes in `/workspace-evil`.
    fn slashless_prefixes(&mut self, policy: &Policy) {
        for pattern in names::prefixes(&policy.body) {
            let is_path = pattern.starts_with('/') && !pattern.ends_with('/');
            // `https://host*` takes in `https://host.evil`; behind a path, it is the path's border that counts.
            let is_url = pattern.split_once("://").is_some_and(|(_, rest)| !rest.ends_with('/'));
            if is_path || is_url {
                self.warn(
                    "W015",
                    policy.place.span,
                    format!("`like \"{pattern}*\"` also matches `{pattern}-evil`"),
                    format!("write `like \"{pattern}/*\"`, and `== \"{pattern}\"` for the thing itself"),
                );
            }
        }
    }
}

/// Whether requests name a host, or what it is in, so.
fn is_one_spelling(host: &str) -> bool {
    crate::parse::is_one_host(host.strip_prefix("*.").unwrap_or(host))
}

/// Whether the policy's scope names this principal (an agent may also be a resource, of `agent.delegate`).
fn is_principal(body: &pst::Template, eid: &str) -> bool {
    match &body.principal {
        pst::PrincipalConstraint::Eq(pst::EntityOrSlot::Entity(uid))
        | pst::PrincipalConstraint::In(pst::EntityOrSlot::Entity(uid))
        | pst::PrincipalConstraint::IsIn(_, pst::EntityOrSlot::Entity(uid)) => uid.eid == eid,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::Nothing;
    use crate::compile::{Validate, compile};

    #[test]
    fn many_policies_on_one_line_cost_as_much_as_on_many() {
        let steps = |count: usize| {
            let policy = "forbid (principal, action == AgentRC::Action::\"tool.invoke\", resource); ";
            let source = format!("AGENT a\nCMD /bin/true\nPOLICY\n{}\nEND\n", policy.repeat(count));
            crate::work::of(|| {
                let plan =
                    compile("Agentfile", source.as_bytes(), &Nothing, Validate::WhenWritten).plan.unwrap();
                let last = format!("policy@4.{count}");
                assert!(plan.cedar.policies.iter().any(|policy| policy.id == last));
            })
        };
        let (few, many) = (steps(50), steps(200));
        assert!(few > 0 && many < 5 * few, "{few} {many}");
    }
}
