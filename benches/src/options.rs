//! What the command line says.

use std::path::PathBuf;

/// As whom the sandboxes are started.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// `root` or `user`, the title of its table.
    pub(crate) name: String,
    /// User and group id.
    pub(crate) id: u32,
    /// Home directory: as `/etc/passwd` has it on the command line, the one of its stage in a run.
    pub(crate) home: PathBuf,
}

/// The command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// The `agentrc` that is measured.
    pub(crate) agentrc: PathBuf,
    /// A folder that the bench may fill and empty, readable by every caller.
    pub(crate) scratch: PathBuf,
    /// One table for each.
    pub(crate) callers: Vec<Caller>,
    /// Counted runs of each peer for the start-up table.
    pub(crate) rounds: usize,
    /// Counted runs of each peer for the steady-state table.
    pub(crate) steady_rounds: usize,
    /// The network's tables instead of the others: the program that measures what the egress filter costs.
    pub(crate) network: Option<PathBuf>,
    /// The broker's table instead of the others.
    pub(crate) broker: bool,
    /// JSON instead of Markdown.
    pub(crate) json: bool,
}

impl Options {
    /// Reads `--agentrc FILE --scratch DIR --caller NAME:ID:HOME… [--rounds N] [--steady-rounds N] [--network COST] [--broker] [--json]`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            agentrc: PathBuf::new(),
            scratch: PathBuf::new(),
            callers: Vec::new(),
            rounds: 60,
            steady_rounds: 7,
            network: None,
            broker: false,
            json: false,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` takes a value"));
            match word.as_str() {
                "--agentrc" => options.agentrc = PathBuf::from(value()?),
                "--scratch" => options.scratch = PathBuf::from(value()?),
                "--caller" => options.callers.push(caller(value()?)?),
                "--rounds" => options.rounds = count(value()?)?,
                "--steady-rounds" => options.steady_rounds = count(value()?)?,
                "--network" => options.network = Some(PathBuf::from(value()?)),
                "--broker" => options.broker = true,
                "--json" => options.json = true,
                _ => return Err(format!("unknown option `{word}`")),
            }
        }
        if options.agentrc.as_os_str().is_empty()
            || options.scratch.as_os_str().is_empty()
            || options.callers.is_empty()
        {
            return Err(
                "`--agentrc`, `--scratch` and at least one `--caller` are needed: see benches/run".to_owned()
            );
        }
        Ok(options)
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("`{text}` is not a count"))
}

fn caller(text: &str) -> Result<Caller, String> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next().and_then(|id| id.parse().ok()), parts.next()) {
        (Some(name), Some(id), Some(home)) => {
            Ok(Caller { name: name.to_owned(), id, home: PathBuf::from(home) })
        }
        _ => Err(format!("`{text}` is not NAME:ID:HOME")),
    }
}
