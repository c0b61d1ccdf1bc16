//! Which script of a skill is run, and the Agentfile that is made for it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agentfile::skill::is_name;
use agentfile::syntax::{Body, LimitName};
use agentfile::{Kind, Package as _};

use crate::package::{AGENTFILE_LIMIT, Folder};
use crate::refusal::Refusal;
use crate::source::Source;
use crate::terminal;

/// The step's name in refusals.
pub const STEP: &str = "skill";
/// Seconds that a script may take when nothing says otherwise.
const TIMEOUT: u64 = 600;
/// What the made Agentfile is called when there are no boundaries.
const NAME: &str = "skill-run";
/// Most characters of a DNS label. (RFC 1035, 2.3.4.)
const LABEL: usize = 63;
/// Where a skill's scripts are. (Agent Skills specification, "Optional directories".)
const SCRIPTS: &str = "scripts";
/// Most executable files that a refusal lists.
const LISTED: usize = 20;

/// A skill's folder that may be named in an Agentfile.
#[derive(Debug)]
pub struct Skill {
    /// The folder that holds the skill's: what `./` means in the boundaries.
    folder: Folder,
    name: String,
}

impl Skill {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// There is none; its name is none that a skill may have, and so none that may stand in an Agentfile.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let shown = terminal::path(path);
        let fail = |error: std::io::Error| Refusal::new(format!("cannot open `{shown}`: {error}")).step(STEP);
        let real = path.canonicalize().map_err(fail)?;
        if !real.is_dir() {
            return Err(Refusal::new(format!("`{shown}` is not a folder"))
                .step(STEP)
                .help("name the folder of the skill, in which SKILL.md is"));
        }
        let name = real.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
        let (Some(name), Some(parent)) = (name, real.parent()) else {
            return Err(Refusal::new(format!("the folder of `{shown}` has no name that a skill may have"))
                .step(STEP)
                .help("call it by 1 to 64 of `a`-`z`, `0`-`9` and single `-` between them"));
        };
        let folder = Folder::open(parent).map_err(fail)?;
        Ok(Self { name: name.to_owned(), folder })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The script that is run, as a path in the skill: `asked`, or the only executable file in `scripts`.
    ///
    /// # Errors
    /// It is not there, no file, not executable, or oddly named; there is none, or there are several.
    pub fn script(&self, asked: Option<&str>) -> Result<String, Refusal> {
        let refuse = |reason: String, help: &str| Err(Refusal::new(reason).step(STEP).help(help));
        let Some(asked) = asked else {
            let found = self.executables()?;
            return match found.as_slice() {
                [] => refuse(
                    format!("there is no executable file in `{}/{SCRIPTS}`", self.name),
                    "`chmod +x` the script, or name another with --script",
                ),
                [one] => self.script(Some(one)),
                several => {
                    let shown: Vec<_> = several
                        .iter()
                        .take(LISTED)
                        .map(|path| format!("`{}`", terminal::escape(path)))
                        .collect();
                    let more = if several.len() > LISTED { ", …" } else { "" };
                    refuse(
                        format!("the skill has {} scripts: {}{more}", several.len(), shown.join(", ")),
                        "name one of them with --script",
                    )
                }
            };
        };
        let shown = terminal::escape(asked);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
        let path =
            agentfile::path::packaged(asked).ok().filter(|path| path.bytes().all(plain) && !path.is_empty());
        let Some(path) = path else {
            return refuse(
                format!("`{shown}` is not the path of a script in the skill"),
                "write it from the skill's folder on, such as `scripts/run.sh`, of letters, digits, `.`, `_`, `-`, `+` and `/`",
            );
        };
        match self.folder.kind(&format!("{}/{path}", self.name)) {
            Kind::File if self.is_executable(&path) => Ok(path),
            Kind::File => {
                refuse(format!("`{shown}` is not executable"), "`chmod +x` it, and begin it with `#!`")
            }
            Kind::Missing => refuse(
                format!("there is no `{shown}` in the skill `{}`", self.name),
                "write its path from the skill's folder on, such as `scripts/run.sh`",
            ),
            Kind::Directory | Kind::Other => refuse(
                format!("`{shown}` is not a file"),
                "name a script; a link that leads out of the skill's folder, or nowhere, is none",
            ),
        }
    }

    /// Paths of the executable files in `scripts`, sorted.
    fn executables(&self) -> Result<Vec<String>, Refusal> {
        let path = format!("{}/{SCRIPTS}", self.name);
        if self.folder.kind(&path) != Kind::Directory {
            return Ok(Vec::new());
        }
        let fail = |error| Refusal::new(format!("cannot list `{path}`: {error}")).step(STEP);
        let mut found = Vec::new();
        for entry in self.folder.path().join(&path).read_dir().map_err(fail)? {
            // A name that is no text cannot be in an Agentfile, and is not executed by being the only one.
            let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
            let script = format!("{SCRIPTS}/{name}");
            if self.folder.kind(&format!("{}/{script}", self.name)) == Kind::File
                && self.is_executable(&script)
            {
                found.push(script);
            }
        }
        found.sort();
        Ok(found)
    }

    fn is_executable(&self, path: &str) -> bool {
        let path = self.folder.path().join(&self.name).join(path);
        path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
    }

    /// The Agentfile that runs `script`: the operator's boundaries come first, so that their places are those of their file.
    /// All that is written behind them is of checked words. The script's arguments are no part of it.
    ///
    /// # Errors
    /// The boundaries cannot be read, or say what is not theirs to say.
    pub fn agentfile(
        self,
        script: &str,
        boundaries: Option<&Path>,
        timeout: Option<u64>,
    ) -> Result<Source, Refusal> {
        let (file, mut text) = match boundaries {
            None => (NAME.to_owned(), Vec::new()),
            Some(path) => read(path)?,
        };
        let bounded = judge(&file, &text)?;
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        let name = &self.name;
        // An agent's name is a DNS label, which is a character shorter.
        let agent = name.get(..LABEL).unwrap_or(name).trim_end_matches('-');
        text.extend_from_slice(
            format!(
                "AGENT {agent}\nSKILL ./{name}\nALLOW invoke {name}\nMOUNT /work rw\nCMD /agentrc/skills/{name}/{script}\n"
            )
            .as_bytes(),
        );
        if let Some(seconds) = timeout.or((!bounded).then_some(TIMEOUT)) {
            text.extend_from_slice(format!("TIMEOUT {seconds}\n").as_bytes());
        }
        Ok(Source::made(self.folder, file, text))
    }
}

/// The name and the bytes of the boundaries.
fn read(path: &Path) -> Result<(String, Vec<u8>), Refusal> {
    let shown = terminal::path(path);
    let fail = |error: std::io::Error| Refusal::new(format!("cannot read `{shown}`: {error}")).step(STEP);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| fail(std::io::ErrorKind::IsADirectory.into()))?;
    let folder = Folder::open(parent).map_err(fail)?;
    let bytes = folder.read_bounded(Path::new(name), AGENTFILE_LIMIT).map_err(fail)?;
    Ok((name.to_string_lossy().into_owned(), bytes))
}

/// Whether the boundaries bound the wall time. Who is run, and what, is not theirs to say.
fn judge(file: &str, text: &[u8]) -> Result<bool, Refusal> {
    let (parsed, _) = agentfile::parse::parse(text);
    let (sane, _) = agentfile::lex::text(text);
    let places = agentfile::place::Places::new(file, &sane);
    let mut bounded = false;
    for statement in &parsed.statements {
        let keyword = match &statement.body {
            Body::Agent(_) => "AGENT",
            Body::Cmd(_) => "CMD",
            Body::Skill(_) => "SKILL",
            Body::Timeout { .. } => {
                bounded = true;
                continue;
            }
            Body::Limit { name: LimitName::Wall, .. } => {
                bounded = true;
                continue;
            }
            _ => continue,
        };
        return Err(Refusal::new(format!("boundaries do not have `{keyword}`"))
            .at(places.place(statement.span).origin)
            .step(STEP)
            .help("remove the line: the skill and its script are named on the command line"));
    }
    Ok(bounded)
}
