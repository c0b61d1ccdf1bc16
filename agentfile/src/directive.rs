//! The one table of directives: from it come the parser's keyword lookup, "did you mean", the help of findings, the
//! reference in `docs/agentfile.md`, completions and the runner support statement.

/// How a directive's arguments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Words of one line.
    Line,
    /// Words of one line, with double quotes.
    Command,
    /// A block until `END`.
    Block,
    /// A block, or one word on the line.
    BlockOrFile,
}

/// What this version of the runner does with a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Support {
    /// Enforced, or the run is refused.
    Enforced,
    /// Parsed, checked and compiled into the plan; a run that needs it is refused.
    Refused,
    /// Honoured where it names what this runner does, an error otherwise.
    Hint,
}

/// One directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directive {
    /// Its keyword.
    pub keyword: &'static str,
    /// Its arguments, as documentation writes them.
    pub grammar: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What it means, in a paragraph.
    pub meaning: &'static str,
    /// A line that is right.
    pub example: &'static str,
    /// Class in `agentrc plan`: `agent`, `files`, `network`, `tools`, `credentials`, `memory`, `policy`, `limits`, `audit`, `hints`.
    pub class: &'static str,
    /// How its arguments are read.
    pub shape: Shape,
    /// Fewest and most arguments on the line.
    pub arity: (usize, usize),
    /// What this version does with it.
    pub support: Support,
}

impl Directive {
    /// Whether a block follows a line with this many arguments.
    #[must_use]
    pub fn opens_block(&self, arguments: usize) -> bool {
        match self.shape {
            Shape::Block => true,
            Shape::BlockOrFile => arguments == 0,
            Shape::Line | Shape::Command => false,
        }
    }
}

const MANY: usize = usize::MAX;

macro_rules! table {
    ($($keyword:literal $shape:ident $least:literal ..= $most:expr, $support:ident, $class:literal;
       $grammar:literal; $summary:literal; $meaning:literal; $example:literal;)*) => {
        /// All directives, in the order of the specification.
        pub const DIRECTIVES: &[Directive] = &[$(Directive {
            keyword: $keyword, grammar: $grammar, summary: $summary, meaning: $meaning, example: $example,
            class: $class, shape: Shape::$shape, arity: ($least, $most), support: Support::$support,
        }),*];
    };
}

table! {
    "AGENT" Line 1..=1, Enforced, "agent";
        "AGENT name"; "Names the agent.";
        "The name is a DNS label; it is the Cedar principal `AgentRC::Agent::\"name\"` and the host name inside. Without this line it is inferred from the folder's name.";
        "AGENT reviewer";
    "FROM" Line 1..=1, Enforced, "agent";
        "FROM scratch | image | package"; "Says what the root filesystem is made of.";
        "Without this line: the host's `/usr` and what belongs to it, read-only. `scratch`: nothing. An image or package reference is refused at `run` until packages exist.";
        "FROM scratch";
    "CMD" Command 1..=MANY, Enforced, "agent";
        "CMD program [argument…]"; "Says what is executed, directly, without a shell.";
        "An argument that starts with `./` must be in the Agentfile's folder; it is shown read-only under `/agentrc/src`, and the argument becomes that path. Double quotes group (an extension of draft 4). It begins in the first writable BIND or MOUNT of a folder, else in the first BIND of one, else in `/agentrc/src`. A source outside the Agentfile's folder is not looked at, so that a plan is the same everywhere: it counts as a folder, unless the last part of its target has a dot; should it be a file after all, the command begins in `/agentrc/src`.";
        "CMD python3 ./agent.py";
    "TOOL" Line 1..=1, Enforced, "tools";
        "TOOL namespace:name"; "Declares a tool.";
        "`utcp:NAME`: one that is built in (`policies/tools.toml`): `current_time`, `file_read`, `file_write`, `file_list`, `file_search`, `http_request`, `shell`; or of a UTCP manual (version 1), `tools/*.utcp.json` beside the Agentfile: one command (`cli`), split into words without a shell, where a value is exactly its part of one word, or a request (`http`) (`docs/broker.md`). `local:./PATH`: a program beside the Agentfile, with `PATH.schema.json` (of `lint.py` also `lint.schema.json`) beside it: `{\"description\": …, \"inputSchema\": …}`, or a JSON Schema with a `description`; `\"facts\": {\"path\": \"ARGUMENT\"}` (also `url`, `method`) says which argument policies see as `context.path`; `annotations` are MCP's. `mcp:SERVER.TOOL`: a tool of an `MCP` server. Another namespace is that of a framework inside the agent, and refused at `run` unless the host's configuration says what serves it here (`[tools.namespaces]`). A declaration is not a permit: it also needs an `ALLOW invoke` or a policy. What may be permitted is shown as `/agentrc/tools/NAME`, by the last part of its path: JSON on standard input, JSON on standard output, exit code 77 where policy refuses.";
        "TOOL local:./tools/lint";
    "TOOLSET" Line 1..=1, Enforced, "tools";
        "TOOLSET utcp:name | local:./file.toml | registry://…@sha256:…"; "Declares a fixed list of tools.";
        "Stands for a `TOOL` line each; each needs its permit, and `agentrc plan` shows them with the toolset that they came by. `utcp:files`: `file_read`, `file_write`, `file_list`, `file_search`; `utcp:read`: those without `file_write` (`policies/tools.toml`). `local:./FILE`: a TOML file beside the Agentfile, `tools = [\"utcp:file_read\", \"local:./tools/lint\"]`, each as a `TOOL` line has it, paths from the Agentfile's folder. The same tool by two toolsets, or by a toolset and a `TOOL` line, is one tool, of the first; two tools of one name are an error. Other namespaces and `registry:` are refused at `run` until they exist.";
        "TOOLSET utcp:files";
    "FUNCTION" Line 1..=1, Enforced, "tools";
        "FUNCTION ./path.py:symbol | ./program:name | name"; "Declares a typed function.";
        "Each call in a sandbox of its own; needs a permit as a tool does. Of `./path.py`: what it takes is read from its `def` line (plain types and literal defaults; `async` too), what an agent is told of it from its docstring, and Python calls it. Of any other file: a program, which is given the function's name as its argument, with `PROGRAM.schema.json` beside it as a tool's. The tool `function.NAME`, shown as `/agentrc/functions/NAME`. A function named without a file is refused at `run`.";
        "FUNCTION ./score.py:score";
    "SKILL" Line 1..=1, Enforced, "tools";
        "SKILL name | ./dir | reference"; "Shows a skill to the agent.";
        "A folder with `SKILL.md`, whose front matter is checked (`name`, the folder's, and `description`), read-only under `/agentrc/src` and `/agentrc/skills`, when something permits it without a condition. With executable files in its `scripts` it is the tool `skill.NAME`, too, which executes one of them in a sandbox of its own; not where `CMD` is one of them. Where its front matter has `agentrc-boundaries` beneath `metadata`, or `skills.json` beside the Agentfile has its name, that sandbox has the agent's paths and destinations that are named there, and no others. A skill named by name or reference is refused at `run` until packages exist.";
        "SKILL ./skills/review";
    "SERVER" Line 2..=2, Enforced, "network";
        "SERVER name url"; "Declares a remote tool server.";
        "Implies exactly that host and port as egress for the broker, not for the agent: what `utcp:http_request` may reach. With `TOOL mcp:name.tool` lines it is an MCP server at that URL (streamable HTTP), asked by the broker through the gateway with the credential that is bound to the host; it is reached before the agent starts (`docs/servers.md`).";
        "SERVER search https://tools.example.com/mcp";
    "MCP" Line 1..=1, Enforced, "tools";
        "MCP name | registry://…@version"; "Declares an MCP server.";
        "What it is stands in `mcp.json` beside the Agentfile, in the form that MCP's clients know: `command`, `args`, `env`, and in `boundaries` the lines of an Agentfile (`BIND`, `MOUNT`, `URL`, `CRED`, `LIMIT`, …) that say what it may touch; without them no network and no files. It is started with the run, in a sandbox of its own, and ends with it. Its tools are declared by `TOOL mcp:name.tool`, each with a permit (`docs/servers.md`). A name that the package's table does not have is looked for in the host's (`docs/configuration.md`), which is asked consent for. One of a registry is refused at `run`.";
        "MCP files";
    "URL" Line 1..=1, Enforced, "network";
        "URL https://host[:port][/path] | http://… | tcp://host:port | https://*.suffix"; "Allows one network destination.";
        "Without any, there is no network at all. With some, exactly those are reached, by any program and without a proxy's variables: the gateway answers their names and no other, and connects to what they really are. What is sent stays encrypted from end to end, unless a path, a bound credential or a policy on requests needs it to be seen (`docs/certificates.md`). `*.suffix` is every host one label below the suffix, at most 64 of them in a run. A private address needs a grant.";
        "URL https://api.example.com";
    "CRED" Line 2..=MANY, Enforced, "credentials";
        "CRED name source [host:H …] [inject:header|query]"; "Lets the gateway use a credential for the agent.";
        "Sources: `env:VAR`, `file:path`, `dotenv:path#KEY` (`dotenv:KEY` of `.env`), `keyring:key`, `vault://path#key`. The agent gets a placeholder in the variable of the credential's name; the value is put in by the gateway, only towards the bound hosts, only over verified TLS (`docs/credentials.md`). Older forms: `CRED url auth-type source`, `CRED name url auth-type source`.";
        "CRED openai env:OPENAI_API_KEY host:api.openai.com inject:header";
    "BROKER" Line 1..=1, Enforced, "credentials";
        "BROKER vault | local"; "Asks for a family of credential broker.";
        "`vault`: the vault that `VAULT_ADDR` names must be usable at launch. `local`: no source may be in a vault.";
        "BROKER local";
    "BIND" Line 2..=3, Enforced, "files";
        "BIND source target [copy | direct | ro | rw]"; "Shows a host path inside.";
        "`copy` (what two arguments mean): a private writable copy, to be reviewed with `agentrc diff`. `rw` or `direct`: the host's own files, writable, but for protected paths. `ro`: read-only. A source outside the Agentfile's folder needs a grant.";
        "BIND ./src /work rw";
    "MOUNT" Line 2..=2, Enforced, "files";
        "MOUNT path ro | rw"; "Names a path that the agent expects.";
        "Without a BIND to it: an empty private directory, gone after the run.";
        "MOUNT /scratch rw";
    "MEMORY" Line 4..=4, Enforced, "memory";
        "MEMORY name schema-path schema:Type mode:ro|rw"; "Declares a bounded store.";
        "Behind the broker; its values are validated against the JSON Schema, which is also `/agentrc/memory/NAME.json`.";
        "MEMORY notes ./notes.schema.json schema:Note mode:rw";
    "POLICY" Block 0..=0, Enforced, "policy";
        "POLICY … END"; "Adds Cedar policies.";
        "Verbatim until a line that is only `END`; validated strictly against `policies/agentrc.cedarschema`. Policies on `filesystem.*` become Landlock rules and mounts, or an error.";
        "POLICY\nforbid (principal, action == AgentRC::Action::\"filesystem.write\", resource)\nwhen { context.path == \"/work/config.toml\" };\nEND";
    "ALLOW" Line 2..=2, Enforced, "policy";
        "ALLOW verb target"; "Permits one thing.";
        "Verbs: `invoke`, `read`, `write`, `egress`, `resolve`. Lowered to Cedar; a permit of a path also needs a BIND or MOUNT that shows it.";
        "ALLOW invoke local:./tools/lint";
    "DENY" Line 2..=2, Enforced, "policy";
        "DENY verb target"; "Forbids one thing, whatever allows it.";
        "Verbs as for ALLOW. `DENY read` hides a path, `DENY write` makes it read-only. The same unconditional ALLOW and DENY of one target is an error.";
        "DENY read /work/.env";
    "RATELIMIT" Line 2..=2, Enforced, "limits";
        "RATELIMIT target N/unit"; "Bounds how often.";
        "A token bucket; units `s`, `min`, `hour`, `day`. Of a host that a URL line names, as it stands there: in the gateway. Of a tool, function or skill with scripts (as its line has it, or by its name) or a memory: in the broker. Of anything else: refused at `run` until that is counted.";
        "RATELIMIT api.example.com 60/min";
    "LIMIT" Line 2..=2, Enforced, "limits";
        "LIMIT name value[/unit]"; "Bounds a resource.";
        "`memory`, `cpu`, `pids` by the cgroup, `open_files` by rlimit, `disk` by the private file systems' size, `wall` by the supervisor; one that this machine cannot enforce is a refusal. `network_requests` and `egress_bytes` by the gateway. `tool_calls`, and `max_output` (bytes of one result), by the broker.";
        "LIMIT memory 2G";
    "TIMEOUT" Line 1..=1, Enforced, "limits";
        "TIMEOUT seconds"; "Bounds the wall time of the run.";
        "At its end everything in the sandbox is killed.";
        "TIMEOUT 600";
    "SLICE" Line 1..=2, Enforced, "limits";
        "SLICE cpu=N mem=MiB"; "Bounds CPUs and memory.";
        "As `LIMIT cpu` and `LIMIT memory`.";
        "SLICE cpu=2 mem=2048";
    "AUDIT" Line 1..=1, Enforced, "audit";
        "AUDIT off | basic | all | compliance"; "Says what must be recorded.";
        "`off`: start and end. `basic` (the default): also limits that were reached, and what agentrc itself denies; denials by the kernel are not seen. `all`: also what agentrc permits. `compliance`: as `all`, each line on stable storage before what it describes takes effect. What cannot be recorded does not run.";
        "AUDIT all";
    "TRACE" Line 1..=1, Refused, "audit";
        "TRACE on | off | otlp://host:port"; "Exports traces.";
        "OpenTelemetry, from outside the sandbox.";
        "TRACE off";
    "SOP" BlockOrFile 0..=1, Enforced, "agent";
        "SOP … END | SOP ./file.md"; "Gives the agent its operating procedure.";
        "Text at `/agentrc/SOP`. It never grants authority.";
        "SOP ./procedure.md";
    "HEALTHCHECK" Command 3..=MANY, Enforced, "limits";
        "HEALTHCHECK --interval=S --timeout=S [--retries=N] CMD program [argument…]"; "Probes the agent from inside.";
        "Every `interval`, the first time after one, the program is executed as `CMD` is, in a sandbox of its own: it sees the agent's files and is held by all that holds the agent, but sees none of its processes and not its network; what it is to know of the agent the agent writes to a file, or answers on a unix socket. Exit code 0 is well; any other, and more time than `timeout`, is a failure. Each is an event `health`; `retries` failures in a row (3 when not given) end the run, with exit code 137.";
        "HEALTHCHECK --interval=30 --timeout=5 CMD ./alive.sh";
    "IMAGE" Line 1..=MANY, Hint, "hints";
        "IMAGE …"; "Placement hint."; "Unsupported here."; "IMAGE example";
    "ISOLATION" Line 1..=MANY, Hint, "hints";
        "ISOLATION local"; "Placement hint."; "`local` is what this runner does; anything else is an error."; "ISOLATION local";
    "BACKEND" Line 1..=MANY, Hint, "hints";
        "BACKEND …"; "Placement hint."; "Unsupported here."; "BACKEND example";
    "PLUGIN" Line 1..=MANY, Hint, "hints";
        "PLUGIN network | filesystem | secrets"; "Names a part of the runner that is needed."; "Those three are built in; anything else is an error."; "PLUGIN filesystem";
    "SHELL" Line 1..=MANY, Hint, "hints";
        "SHELL …"; "Hint."; "Unsupported here: CMD is executed without a shell."; "SHELL /bin/sh";
    "OPTIMIZER" Line 1..=MANY, Hint, "hints";
        "OPTIMIZER …"; "Hint."; "Unsupported here."; "OPTIMIZER example";
}

/// Keywords that only the newer dialect (draft 5, 6) has; a `COPY` is its own only where it names `/mnt/tools`.
pub const NEWER: &[&str] = &["IDENTITY", "CAPABILITY", "COPY"];

/// The directive with this keyword.
#[must_use]
pub fn find(keyword: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|directive| directive.keyword == keyword)
}

/// Whether `word` can be meant as a keyword, and be shown as one: letters, and not many.
pub(crate) fn is_word(word: &str) -> bool {
    word.len() <= 24
        && word.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b':'))
}

/// The keyword that was probably meant, for "did you mean": at most two edits away.
#[must_use]
pub fn nearest(keyword: &str) -> Option<&'static str> {
    near(keyword, DIRECTIVES.iter().map(|directive| directive.keyword))
}

/// The one of `names` that was probably meant by `word`, whatever its case.
pub(crate) fn near<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no near miss of any name, and must not cost more than a short one.
    if word.len() > 20 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    names
        .map(|name| (distance(&lower, &name.to_ascii_lowercase()), name))
        .min()
        .filter(|(edits, near)| *edits <= 2 && *edits < near.len())
        .map(|(_, near)| near)
}

/// Edits (insert, remove, replace) from one word to another.
pub(crate) fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(to.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = replaced.min(*cell + 1).min(before + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("TOOOL"), Some("TOOL"));
        assert_eq!(nearest("bind"), Some("BIND"));
        assert_eq!(nearest("TIMOUT"), Some("TIMEOUT"));
        assert_eq!(nearest("XYZZY"), None);
        assert_eq!(nearest(&"A".repeat(100_000)), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn every_example_of_the_table_parses_without_errors() {
        for directive in DIRECTIVES {
            let (file, findings) = crate::parse::parse(directive.example.as_bytes());
            assert!(findings.is_empty(), "{}: {findings:?}", directive.keyword);
            assert_eq!(file.statements.len(), 1, "{}", directive.keyword);
        }
    }
}
