//! The rounds: one run of each peer, then the next round.

use crate::measure::{Sample, run};
use crate::peers::{Command, Peer, Stage};
use crate::statistics::Summary;

/// Uncounted rounds that fill caches.
const WARM_UP: usize = 3;

/// A row of a table: the peer's name and note, and what came of it.
#[derive(Debug)]
pub(crate) struct Row<T> {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) outcome: Outcome<T>,
}

/// What came of measuring a peer.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// It is not on this machine.
    NotInstalled,
    /// It is, and does not do what is measured: its words.
    Failed(String),
    /// Its numbers.
    Measured(T),
}

/// Start-up of one peer.
#[derive(Debug)]
pub(crate) struct Startup {
    /// Milliseconds.
    pub(crate) wall: Summary,
    /// Milliseconds.
    pub(crate) cpu: Summary,
    /// MiB.
    pub(crate) peak: Summary,
}

/// Steady state of one peer: nanoseconds for each operation.
#[derive(Debug)]
pub(crate) struct Steady {
    pub(crate) open_read_close: Summary,
    pub(crate) spawn: Summary,
    pub(crate) system_call: Summary,
}

/// `/bin/true`, once in each sandbox and round.
pub(crate) fn startup(stage: &Stage, rounds: usize) -> Vec<Row<Startup>> {
    interleaved(stage, rounds, Stage::startup, |samples| {
        Some(Startup {
            wall: Summary::of(samples.iter().map(|sample| sample.wall.as_secs_f64() * 1e3))?,
            cpu: Summary::of(samples.iter().map(|sample| sample.cpu.as_secs_f64() * 1e3))?,
            peak: Summary::of(samples.iter().filter_map(|sample| mebibytes(sample.peak_kib)))?,
        })
    })
}

/// The loops of [`crate::inside`], once in each sandbox and round.
pub(crate) fn steady(stage: &Stage, rounds: usize) -> Vec<Row<Steady>> {
    interleaved(stage, rounds, Stage::steady, |samples| {
        let column = |which: usize| {
            Summary::of(
                samples.iter().filter_map(|sample| sample.output.split_whitespace().nth(which)?.parse().ok()),
            )
        };
        Some(Steady { open_read_close: column(0)?, spawn: column(1)?, system_call: column(2)? })
    })
}

/// `agentrc check` of ten thousand lines: wall milliseconds.
pub(crate) fn compile(stage: &Stage, rounds: usize) -> Outcome<Summary> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        match run(&stage.compile(), &stage.caller, stage.folder_of_runs()) {
            Ok(sample) => times.push(sample.wall.as_secs_f64() * 1e3),
            Err(words) => return Outcome::Failed(words),
        }
    }
    Summary::of(times).map_or(Outcome::Failed("no run".to_owned()), Outcome::Measured)
}

fn interleaved<T>(
    stage: &Stage,
    rounds: usize,
    command: fn(&Stage, &Peer) -> Command,
    summarise: fn(&[Sample]) -> Option<T>,
) -> Vec<Row<T>> {
    let peers = stage.peers();
    let mut commands = Vec::with_capacity(peers.len());
    let mut outcomes = Vec::with_capacity(peers.len());
    for peer in peers {
        let (argv, outcome) = match command(stage, peer) {
            Ok(Some(argv)) => (argv, Outcome::Measured(Vec::with_capacity(rounds))),
            Ok(None) => (Vec::new(), Outcome::NotInstalled),
            Err(words) => (Vec::new(), Outcome::Failed(words)),
        };
        commands.push(argv);
        outcomes.push(outcome);
    }
    for round in 0..WARM_UP + rounds {
        for (outcome, argv) in outcomes.iter_mut().zip(&commands) {
            let Outcome::Measured(samples) = &mut *outcome else { continue };
            match run(argv, &stage.caller, stage.folder_of_runs()) {
                Ok(sample) if round >= WARM_UP => samples.push(sample),
                Ok(_) => {}
                Err(words) => *outcome = Outcome::Failed(words),
            }
        }
    }
    let rows = peers.iter().zip(outcomes).map(|(peer, outcome)| Row {
        name: peer.name,
        note: peer.note,
        outcome: match outcome {
            Outcome::NotInstalled => Outcome::NotInstalled,
            Outcome::Failed(words) => Outcome::Failed(words),
            Outcome::Measured(samples) => summarise(&samples)
                .map_or(Outcome::Failed("printed no numbers".to_owned()), Outcome::Measured),
        },
    });
    rows.collect()
}

fn mebibytes(kibibytes: i64) -> Option<f64> {
    i32::try_from(kibibytes).ok().map(|kibibytes| f64::from(kibibytes) / 1024.0)
}
