//! `agentrc tools schema`: a program tells what it takes, once, to a person who keeps it. The compiler executes nothing: a plan is of
//! files alone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agentfile::compile::Validate;
use agentfile::{Kind, Package as _, json, tool};

use super::Outcome;
use super::run::{Job, Ran, execute};
use crate::arguments::{Tools, ToolsCommand, ToolsSchema};
use crate::package::Folder;
use crate::refusal::{Failure, Refusal};
use crate::skill::capture::Capture;
use crate::skill::scratch::Scratch;
use crate::source::Source;
use crate::{exit, terminal};

/// The step's name in refusals.
const STEP: &str = "schema";
/// The word that asks a program for its schema.
const ASKING: &str = "--agentrc-schema";
/// What the made Agentfile is called.
const NAME: &str = "tools-schema";
/// Seconds that the program may take.
const SECONDS: u64 = 10;

/// Carries out the one command there is.
///
/// # Errors
/// The program says no schema, or it cannot be written.
pub fn tools(arguments: &Tools) -> Outcome {
    let ToolsCommand::Schema(arguments) = &arguments.command;
    schema(arguments)
}

fn schema(arguments: &ToolsSchema) -> Outcome {
    let program = Program::open(&arguments.program)?;
    let beside = program.beside();
    // Before it is executed for nothing.
    if arguments.write && !arguments.force && beside.symlink_metadata().is_ok() {
        return Err(there(&beside).into());
    }
    let shown = program.shown.clone();
    let said = ask(program)?;
    tool::judge(&said).map_err(|fault| {
        let reason = format!("what `{shown} {ASKING}` prints {}", terminal::escape(&fault.what));
        Refusal::new(reason).step(STEP).help(terminal::escape(&fault.help))
    })?;
    // It has just been judged.
    let value = json::read(&said).map_err(|error| Refusal::new(error.to_string()).step(STEP))?;
    let text = format!("{:#}\n", json::sorted(&value));
    if !arguments.write {
        terminal::print(&text)?;
        return Ok(exit::SUCCESS);
    }
    write(&beside, &text, arguments.force).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => there(&beside),
        _ => Refusal::new(format!("cannot write `{}`: {error}", terminal::path(&beside))).step(STEP),
    })?;
    terminal::print(&format!("wrote {}\n", terminal::path(&beside)))?;
    Ok(exit::SUCCESS)
}

/// A program that may be named in an Agentfile.
struct Program {
    folder: Folder,
    name: String,
    shown: String,
}

impl Program {
    fn open(path: &Path) -> Result<Self, Refusal> {
        let shown = terminal::path(path);
        let refuse = |reason: String, help: &str| Refusal::new(reason).step(STEP).help(help);
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| tool::name_fault(name).is_none() && !name.starts_with('.'))
        else {
            return Err(refuse(
                format!("`{shown}` has no name that a tool may have"),
                "call it by letters, digits, `_`, `.` and `-`",
            ));
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = Folder::open(parent).map_err(|error| {
            Refusal::new(format!("cannot open the folder of `{shown}`: {error}")).step(STEP)
        })?;
        match folder.kind(name) {
            Kind::File => {}
            Kind::Missing => return Err(refuse(format!("there is no `{shown}`"), "name a program")),
            Kind::Directory | Kind::Other => {
                return Err(refuse(format!("`{shown}` is not a file"), "name a program"));
            }
        }
        let executable =
            folder.path().join(name).metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
        if !executable {
            return Err(refuse(
                format!("`{shown}` is not executable"),
                "`chmod +x` it, and begin it with `#!`",
            ));
        }
        Ok(Self { folder, name: name.to_owned(), shown })
    }

    /// Where its schema is looked for.
    fn beside(&self) -> PathBuf {
        self.folder.path().join(format!("{}.schema.json", self.name))
    }
}

/// What the program prints when it is asked.
fn ask(program: Program) -> Result<Vec<u8>, Failure> {
    let Program { folder, name, shown } = program;
    let text = format!("AGENT schema\nMOUNT /work rw\nCMD ./{name} {ASKING}\nTIMEOUT {SECONDS}\n");
    let source = Source::made(folder, NAME.to_owned(), text.into_bytes());
    let compiled = source.compile(Validate::WhenWritten)?;
    let mut capture = Capture::kept()?;
    let (scratch, state) = Scratch::make()?;
    let job = Job {
        serves: None,
        skill: None,
        approve_none: true,
        source: &source,
        state: Some(state),
        arguments: &[],
        grant: false,
        quiet: true,
        capture: Some(&mut capture),
    };
    let ran = execute(job, &compiled);
    capture.restore();
    let Ran { code, state, .. } = ran?;
    let wrong = |reason: String, help: &str| Failure::from(Refusal::new(reason).step(STEP).help(help));
    let output = capture.finish();
    drop(state);
    scratch
        .remove()
        .map_err(|reason| wrong(format!("something of the run is left behind: {reason}"), "remove it"))?;
    let [out, _] =
        output.map_err(|reason| wrong(format!("its output is not whole: {reason}"), "try again"))?;
    if code != 0 {
        return Err(wrong(
            format!("`{shown} {ASKING}` ended with {code}, or was ended after {SECONDS} s"),
            "it has to print its description and schema as JSON and exit with 0; it has no network and no files here",
        ));
    }
    if out.bytes > out.beginning.len() as u64 {
        return Err(wrong(
            format!("`{shown} {ASKING}` prints {} bytes", out.bytes),
            "shorten it to 64 KiB: a model has to read it",
        ));
    }
    Ok(out.beginning)
}

fn there(path: &Path) -> Refusal {
    Refusal::new(format!("there is a `{}`", terminal::path(path)))
        .step(STEP)
        .help("say --force to replace it, or leave out --write to see what the program says now")
}

/// Writes the whole file or none.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    let mut file = File::create_new(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
        if force {
            fs::rename(&new, path)
        } else {
            // Fails where there is one, whoever made it meanwhile.
            fs::hard_link(&new, path).and_then(|()| fs::remove_file(&new))
        }
    });
    if written.is_err() {
        // What failed is what is told.
        let _ = fs::remove_file(&new);
    }
    written
}
