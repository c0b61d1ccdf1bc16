//! The one table of codes: every finding of the compiler has one, and `agentrc check --explain` explains it.

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `E0xx` for an error, `W0xx` for a warning.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// Why it is one, and what to do.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($code:literal $title:literal $explanation:literal)*) => {
        /// All codes, in order.
        pub const CODES: &[Code] = &[$(Code { code: $code, title: $title, explanation: $explanation }),*];
    };
}

codes! {
    "E001" "byte order mark" "An Agentfile is UTF-8 without a byte order mark: the mark would be part of the first word."
    "E002" "NUL byte" "A NUL byte ends a string for the kernel and not for us; a name that two readers read differently is refused."
    "E003" "invalid UTF-8" "The bytes are not UTF-8. Save the file as UTF-8."
    "E004" "invisible character" "A control character, or an invisible one that changes how others are shown (such as those that turn the writing direction), can make a line read differently from what it says. Where authority is written, also what only looks like a space or like nothing is refused; comments and `SOP` texts may have that."
    "E005" "unknown directive" "Directives are upper case, and only those of the specification exist. An unknown one might be a boundary, so it is never skipped."
    "E006" "newer dialect" "Drafts 5 and 6 write another language under the same syntax line. This agentrc reads draft 4, and refuses a mixture: a boundary that can be read in two ways is no boundary."
    "E007" "END without a block" "`END` closes a `POLICY` or `SOP` block, and none is open."
    "E008" "block without END" "A `POLICY` or `SOP` block goes on until a line that is only `END`. With anything behind it the line would be text of the block, and so would every line after it."
    "E009" "unclosed quote" "In `CMD` a double quote at the start of a word groups until the next one, which is on its line and ends the word."
    "E010" "unknown syntax version" "The `# syntax=` line names a version of the language that this agentrc does not read."
    "E011" "argument missing" "The directive needs more than is written."
    "E012" "argument too many" "The directive has more than it can mean."
    "E013" "not a URL pattern" "A destination is `scheme://host[:port][/path]` in its plain spelling. Odd spellings (users, encodings, octal or decimal addresses, trailing dots) are how one allowed host becomes another."
    "E014" "not a number of this kind" "The value is not a number with a unit of this kind."
    "E015" "not an absolute path" "Paths inside the sandbox start with `/`."
    "E016" "not one of the words" "The directive takes one of a few words here."
    "E017" "not a name of this kind" "Tools are `namespace:name`, functions `./path.py:symbol` or a bare name."
    "E018" "option not understood" "The directive has named options, and this is none of them, or is given twice."
    "E019" "not a credential" "A `CRED` names a source, hosts, and a way to inject. A value is never written in an Agentfile."
    "E020" "unknown escape" "Inside quotes a backslash stands before a quote or a backslash. What it would mean before anything else depends on who is asked."
    "E021" "a command in brackets" "A Dockerfile writes commands as arrays, an Agentfile as words."
    "E022" "quote outside CMD" "Only words of `CMD` can be quoted. Elsewhere a quote would become part of a path or name, and the line would be about something else."
    "E040" "written twice" "The directive says one thing for the whole file. Two of them would leave it to the reader which holds."
    "E041" "not an agent's name" "The name is a DNS label: policies, hosts and logs know the agent by it."
    "E042" "not a source of a BIND" "A source is `./x`, `../x`, `~/x` or `/x`, spelt plainly, so that what is consented to is what is shown. Only folders can be copied, and the folder above the Agentfile's is never writable."
    "E043" "not a target" "A path inside the sandbox is absolute and normalised: the same place never has two names."
    "E044" "a system path" "The base system and the projection are the runner's own; a BIND over them could replace what everything else relies on."
    "E045" "two things at one path" "One path of the sandbox shows one thing."
    "E046" "BIND and MOUNT disagree" "A MOUNT says what the agent expects, the BIND what it gets: whether that may be written must be the same in both."
    "E047" "nothing to mount on" "A path inside a bind of the host needs a file or folder of the same kind there: the runner makes nothing in the host's folders."
    "E048" "no such packaged file" "Files that a line names lie beside the Agentfile, and are shown to the agent read-only under /agentrc/src. They are files and folders: a socket, a pipe or a device would be a way to something outside."
    "E049" "a packaged file that cannot be used" "What becomes part of the plan is read when it is compiled: it must be readable, not too large, and of the right kind."
    "E050" "allowed and denied" "A deny wins, so the ALLOW never holds: one of the two lines is a mistake."
    "E051" "allowed and not declared" "An ALLOW permits what another line declares. A name that nothing declares is a misspelling, or a missing line."
    "E052" "two of one name" "Policies, denials and the agent know a thing by its name, whatever its namespace is."
    "E053" "limited twice" "Each bound has one line."
    "E054" "out of range" "The kernel cannot hold this number, or nothing could run under it."
    "E055" "limits that differ" "LIMIT, SLICE and TIMEOUT can set the same bound; then they must agree."
    "E056" "an amount, not a rate" "What the kernel bounds, it bounds at each moment; only what is counted has a rate."
    "E057" "unsupported" "The line asks for something that this runner is not or has not. A hint that is not honoured is refused, never ignored."
    "E060" "not a Cedar policy" "Policies are Cedar. One that cannot be read denies everything, so it is refused here."
    "E061" "a policy that does not fit the schema" "The schema says which actions there are, on what, and what `context` holds. A policy that asks for anything else would fail in evaluation, or never hold."
    "E062" "an idiom that is not Cedar" "Published examples write this, and Cedar has no such form. `agentrc check --fix` writes the one that it has."
    "E063" "an id that is taken" "A policy's id names it in denials and in the audit log; ids that end in `@` and a number are made from lines."
    "E065" "a policy that no kernel layer can hold" "Files are held by mounts and Landlock, which know paths and nothing else. A condition on anything else would be silently ignored, and is refused."
    "E066" "denies what is declared" "A boundary that one line asks for and another takes away as a whole is a mistake in one of them."
    "E067" "an approval that cannot be asked for" "A person is asked before a brokered request. The kernel asks nobody, and a forbid has nothing to wait for."
    "E071" "a command as a source" "What the host runs to get a credential is the host's to say, never a package's."
    "E072" "not over HTTP" "A credential is put into HTTP requests, and a server is reached by them; there is no place in other traffic."
    "E073" "a policy on requests that are never seen" "A `forbid` on `context.method`, `path`, `url` or `bytes` would never hold on a `tcp://` destination, where there are bytes and no requests. Name the hosts that it is about in its scope."
    "E076" "not a memory schema" "A memory's values are checked against a type of a JSON Schema (2020-12 or draft-07), which must be there. Of JSON Schema is taken what can be checked before a run, and ends: keywords and formats that are checked, references within the document, patterns that match in linear time."
    "E077" "too little disk" "The limit is divided among the private folders of the sandbox; each needs at least a page."
    "E078" "not a target of ALLOW or DENY" "Paths are absolute and normalised, hosts are names without scheme, port and path."
    "E079" "two schemes on one host and port" "A connection is known by the host and port that it is made to. With two schemes there it would be the agent's choice what is spoken: `tcp://` would carry, unseen, the requests that `https://` has judged, or a credential's placeholder. A wildcard counts for every name that it takes in."
    "E080" "shows what a credential is read from" "The file of a `file:` or `dotenv:` source is hidden inside wherever a wider BIND would show it, since the agent gets a placeholder and never the value. A BIND of just that file asks for the opposite."
    "E081" "not a tool's name" "A tool of `utcp:` is one of those that are built in, or of a manual beside the Agentfile. Any tool is known by its name to the agent (MCP, `/agentrc/tools/NAME`), to policies and to the audit log: letters, digits, `_`, `.` and `-`, at most 128, and not the name of what describes another tool."
    "E082" "not a tool's schema" "A program beside the Agentfile becomes a tool by the file beside it, `NAME.schema.json`: its `description`, which is all that an agent knows of it, and the JSON Schema of its input, which is all that it is ever given. Of JSON Schema is taken what `E076` says."
    "E083" "not a function's signature" "What a function takes is read from its `def` line, and what an agent is told of it from its docstring, without running the file: plain types (`str`, `int`, `float`, `bool`, `None`, `list[T]`, `dict[str, T]`, `T | U`, `Literal[…]`, `Any`), literal defaults, no decorator. What is not understood is refused, never guessed at."
    "E084" "not a toolset" "A toolset is one of those that are built in, or a TOML file beside the Agentfile, of at most 64 KiB, that has `tools = [\"namespace:name\", …]` and nothing else: what is not understood there might be a boundary."
    "E085" "not a tool of a manual" "A UTCP manual, `tools/NAME.utcp.json`, says how a tool is called. UTCP hands a command to a shell, with the arguments' values written into it; here it is split into words before there is a value, a value is exactly its part of one word, and what needs a shell, several commands, a program that an argument chooses, or an argument in place of code is refused."
    "E087" "a host's configuration that cannot be used" "What the host has instead of a framework's tools stands in its `agentrc.toml`, and which servers it has in `mcp.json` beside that. A line asks for one of these, and they cannot be read."
    "E089" "two credentials for one server" "The tools of a `SERVER` are asked with one credential: the `CRED` that is bound to its host, in `Authorization`."
    "E090" "a skill without front matter" "A skill's `SKILL.md` begins with front matter between two lines `---`, in UTF-8 and at most 64 KiB, without characters that hide text: its name and what it is for are read from there."
    "E091" "front matter that readers would not read alike" "Of YAML is taken what all its readers agree on: texts on one line, quoted or not, texts of several lines (`|`, `>`), lists and maps of texts. Anchors, aliases, tags, flows, equal keys, and unquoted numbers, dates and truths are refused."
    "E092" "front matter that is not a skill's" "The public Agent Skills format has `name` (1 to 64 of `a`-`z`, `0`-`9`, `-`; the folder's name) and `description` (1 to 1024 characters), and may have `license`, `compatibility`, `metadata` (a map of texts) and `allowed-tools`."
    "E093" "scripts of a skill that cannot be named" "The executable files in a skill's `scripts` are what the tool `skill.NAME` may execute, so each is named in the plan: at most 64, of letters, digits, `.`, `_`, `-` and `+`."
    "E094" "not what a skill can ask for" "A skill's scripts have the agent's files, or, when its front matter has `agentrc-boundaries` beneath `metadata`, what the lines of that say: `MOUNT`, `URL` and `LIMIT`, as in an Agentfile; or what `skills.json` beside the Agentfile says instead. A skill is another's text, and so says nothing of the host, of credentials and of policies; a path is one of the agent's."
    "E095" "not a server" "What an `MCP` server is stands in `mcp.json` beside the Agentfile: its command, its arguments, and, in `boundaries`, the lines of an Agentfile that say what it may touch. Without such lines it has no network and no file but the base system's."
    "E096" "a tool of no server" "A tool `mcp:server.tool` is one of a server that an `MCP` or `SERVER` line declares."
    "E097" "an agent that writes a server" "A server has rights of its own, and so an agent must not write what it executes. In a writable bind around it that is held read-only; a writable bind of just it cannot be."
    "E098" "a skill wider than its agent" "What a skill's front matter, or `skills.json`, asks for, its agent has: each path by a `BIND`, with a mode that is no wider, and nothing hidden in it that the agent could move; each destination by a `URL`, and not counted there. Nothing that a skill says gives it more."
    "E099" "a fault of the compiler" "Please report it with the Agentfile."
    "W001" "misplaced syntax line" "`# syntax=` counts on the first line only; elsewhere it is a comment."
    "W002" "older form of CRED" "The older forms still parse; the current one names every host that the credential may go to."
    "W003" "wildcard destination" "`https://*.suffix` allows every host one label below the suffix."
    "W004" "text of a block that looks like a directive" "Until `END` everything is text of the block. A line that looks like a directive, or almost like `END`, may be one that was to be outside."
    "W005" "no shell" "`CMD` is executed as its words are written. Operators, variables and single quotes are a shell's, and reach the program as text."
    "W010" "no AGENT" "The name is taken from the folder for a local run; a package needs the line."
    "W011" "no CMD" "The file can be checked and planned, not run."
    "W012" "a bare word that is a file" "A word of CMD that names a file beside the Agentfile is taken for that file. With `./` it cannot be mistaken."
    "W013" "declared and not permitted" "TOOL, FUNCTION and SKILL declare; using one needs an ALLOW or a permit too."
    "W014" "allows nothing" "Paths are given by BIND and MOUNT, hosts by URL. A permit beyond them gives nothing, and one on a condition that mounts and Landlock cannot hold (anything but paths) neither gives nor narrows: what a BIND shows is shown whole."
    "W015" "a prefix without its slash" "`like \"/workspace*\"` also matches `/workspace-evil`."
    "W016" "a wide bind" "A home or a system folder holds keys, tokens and other projects."
    "W017" "the Agentfile's folder is writable" "The Agentfile itself is protected; scripts beside it, which the next run executes, are not."
    "W018" "a credential without a host" "It is never put in, since nothing says where it may go."
    "W020" "read-only here, writable there" "The same folder is bound twice: what one line keeps, the other gives."
    "W021" "what the host runs is writable" "The host runs or trusts this path later; whoever writes it acts as its user."
    "W022" "a rate of nothing" "The target of the RATELIMIT is not declared."
    "W023" "an unknown name in a policy" "Nothing declares it, so the policy never matches: a misspelt forbid forbids nothing."
    "W024" "a policy for another agent" "It never holds for this one."
    "W025" "a credential for a host that is not declared" "Without a URL line the host cannot be reached."
    "W026" "denies no file" "Nothing is shown at the path, above it or beneath it, so there is nothing to take away: a misspelt `DENY` or `forbid` protects nothing. A rule for a path that other files of the same kind have may stay."
    "W027" "a permit on requests that are never seen" "On a `tcp://` destination there are bytes and no requests: `context.method`, `path` and `url` are empty there, `bytes` is 0. The URL line alone says what is permitted."
    "W030" "declared twice" "The second line adds nothing."
    "W031" "worth a look in a server" "What the compiler has to say about the lines of a server in `mcp.json`."
    "W032" "worth a look in a skill" "What the compiler has to say about the lines of `agentrc-boundaries` in a `SKILL.md`, or of `skills.json`."
}

/// The entry of a code, whatever its case.
#[must_use]
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_explains_every_code_that_the_sources_emit() {
        let codes: Vec<_> = CODES.iter().map(|entry| entry.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
        let mut emitted = std::collections::BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("code.rs") {
                    let text = std::fs::read_to_string(path).unwrap();
                    for word in text.split('"') {
                        let digits = word.strip_prefix(['E', 'W']).unwrap_or("");
                        if digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                            emitted.insert(word.to_owned());
                        }
                    }
                }
            }
        }
        let known: std::collections::BTreeSet<_> = codes.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(emitted, known, "left: emitted, right: explained");
    }
}
