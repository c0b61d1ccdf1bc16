//! Races: something is swapped for a symbolic link, again and again, while runs start.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::lab::Lab;
use crate::outcome::{PATIENCE, within};

/// How many runs are started: enough for some to fall between any check and its use.
const RUNS: usize = 40;

/// Swaps two paths until dropped.
pub struct Swapper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    /// Begins to swap.
    pub fn new(a: PathBuf, b: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut pause = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).expect("exchange");
                // Intervals of all lengths up to that of a launch: some fall between a check and a use.
                pause = (pause * 1_103_515_245 + 12_345) % 2_048;
                std::thread::sleep(std::time::Duration::from_micros(pause));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the swapper");
        }
    }
}

/// The race that a careless program loses: it checks, and then uses. Shows that the swapper is fast enough.
fn careless_loses(path: &Path, file: &str, secret: &str) -> bool {
    let loses = || {
        let checked = path.symlink_metadata().is_ok_and(|m| !m.is_symlink());
        checked && fs::read_to_string(path.join(file)).is_ok_and(|text| text.contains(secret))
    };
    within(PATIENCE / 2, || (0..10_000).any(|_| loses()))
}

/// Starts an Agentfile again and again while `swapped` and `swapped.link` change places. The secret must not come out, and
/// `verdict` must find nothing wrong outside.
#[track_caller]
pub fn race(lab: &Lab, agentfile: &str, swapped: &Path, file: &str, verdict: impl Fn() -> Option<String>) {
    lab.agentfile(agentfile);
    let link = swapped.with_extension("link");
    let swapper = Swapper::new(swapped.to_owned(), link);
    assert!(
        careless_loses(swapped, file, &lab.secret),
        "positive control: the swap never fell between check and use"
    );
    let (mut started, mut refused) = (0, 0);
    for _ in 0..RUNS {
        let outcome = lab.finish_command(lab.agentrc([
            "run".as_ref(),
            "--grant".as_ref(),
            lab.project("Agentfile").as_os_str(),
        ]));
        assert!(!lab.leaked(&outcome), "as {}: the secret was read", lab.who.name);
        if let Some(wrong) = verdict() {
            panic!("as {}: {wrong}", lab.who.name);
        }
        match outcome.code() {
            125 => refused += 1,
            _ => started += 1,
        }
    }
    drop(swapper);
    eprintln!("{started} runs started, {refused} were refused");
}
