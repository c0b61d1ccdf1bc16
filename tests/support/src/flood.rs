//! Floods that a gateway must outlive.

use std::time::{Duration, Instant};

use crate::outcome::{Outcome, within};
use crate::{Lab, World, outside};

/// How one flood is sent, and what it may cost.
pub struct Flood<'a> {
    /// Lines of the Agentfile; `http://api.example.com` is among them.
    pub lines: &'a str,
    /// A shell script that sends it.
    pub script: &'a str,
    /// Most KiB that the gateway may grow by.
    pub most: u64,
    /// Most descriptors that any process may have, if they are to be few.
    pub descriptors: Option<u64>,
}

/// The agent's own exit code.
const CODE: i32 = 7;

impl Flood<'_> {
    /// Sends it, for a minute at most, and asks as anybody does afterwards. The gateway lives and has not grown by more than it may, the
    /// run ends with the agent's own code, and its log holds.
    #[track_caller]
    pub fn outlived(&self, lab: &Lab, world: &World<'_>) -> Outcome {
        self.outlived_once(lab, world, || {})
    }

    /// As [`Self::outlived`]. At the end of the flood the script says `holding` and waits for a line on descriptor 3, which it is
    /// sent after `reached`: when the flood has come to where it was to come.
    #[track_caller]
    pub fn outlived_once(&self, lab: &Lab, world: &World<'_>, reached: impl FnOnce()) -> Outcome {
        // What all floods begin with says nothing.
        let end = self.script.char_indices().rev().nth(400).map_or(0, |(at, _)| at);
        let who = format!("as {}: …{}", lab.who.name, &self.script[end..]);
        let script = format!(
            "exec 3<&0\ncurl -sS http://api.example.com/v1/before\necho ready; read go <&3\n{}\n\
             curl -sS -m 20 http://api.example.com/v1/after\necho measure; read end <&3\nexit {CODE}",
            self.script
        );
        let mut child = world.start_limited(self.descriptors, self.lines, &script);
        child.wait_for("ready\n");
        let gateway = outside::gateway(child.pid());
        let before = outside::peak(gateway);
        child.send("go\n");
        let started = Instant::now();
        let said = |word: &str| within(Duration::from_secs(55), || child.out().contains(word));
        if self.script.contains("holding") && said("holding\n") {
            reached();
            child.send("on\n");
        }
        let ended = within(Duration::from_secs(55), || child.out().contains("measure\n"));
        assert!(ended, "{who}: {} {}", child.out(), child.err());
        assert_eq!(outside::gateway(child.pid()), gateway, "{who}");
        let grown = outside::peak(gateway).saturating_sub(before);
        eprintln!("as {}: {:?}, {grown} KiB more", lab.who.name, started.elapsed());
        child.send("end\n");
        let outcome = child.finish();
        outcome.expect_code(CODE);
        assert!(outcome.out().contains("hello from /v1/after\n"), "{who}: {}", outcome.out());
        assert!(!outcome.out().contains("Traceback"), "{who}: {}", outcome.out());
        assert!(grown < self.most, "{who}: it grew by {grown} KiB");
        lab.finish_command(lab.agentrc(["audit", "verify"])).expect_code(0);
        outcome
    }
}
