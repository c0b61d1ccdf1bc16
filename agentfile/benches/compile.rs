//! How long a large file takes, in time on the CPU: `cargo bench -p agentfile`. Prints one line for each kind of file, and fails when the mixed
//! file of 10 000 lines takes 100 ms or more, or when twice the lines take more than three times as long.

use std::time::{Duration, Instant};

use agentfile::compile::{Validate, compile};
use agentfile::{Kind, Package};

/// A folder in which every name is a folder.
struct Folders;

impl Package for Folders {
    fn kind(&self, path: &str) -> Kind {
        if path.ends_with(".py") { Kind::File } else { Kind::Directory }
    }

    fn read(&self, _: &str) -> std::io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn executables(&self, _: &str) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn list(&self, _: &str, _: &str) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn folder_name(&self) -> &str {
        "bench"
    }
}

/// Lines of all kinds, as many as asked for; policies are a tenth of them.
fn mixed(lines: usize) -> String {
    let head = ["AGENT bench".to_owned(), "CMD python3 ./agent.py".to_owned(), "TIMEOUT 60".to_owned()];
    let body = (0..).flat_map(|n| {
        [
            format!("BIND ./src{n} /work/src{n} ro"),
            format!("BIND ./out{n} /out{n} rw"),
            format!("MOUNT /cache/{n} rw"),
            format!("TOOL strands:tool{n}"),
            format!("ALLOW invoke strands:tool{n}"),
            format!("URL https://host{n}.example.com"),
            format!("CRED key{n} env:KEY{n} host:host{n}.example.com"),
            format!("DENY write /out{n}/private"),
            format!("RATELIMIT strands:tool{n} 20/hour"),
            format!("# comment {n}"),
        ]
    });
    let policies = lines / 40;
    let statement = |n: usize| {
        format!(
            "permit(principal == AgentRC::Agent::\"bench\", action == AgentRC::Action::\"tool.invoke\",\n  resource == AgentRC::Tool::\"tool{n}\")\n  when {{ context.path like \"/work/src{n}/*\" }};\n"
        )
    };
    let block: String = (0..policies).map(statement).collect();
    let rest = lines.saturating_sub(head.len() + policies * 3 + 2);
    let lines: Vec<String> = head.into_iter().chain(body.take(rest)).collect();
    format!("{}\nPOLICY\n{block}END\n", lines.join("\n"))
}

fn only(lines: usize, line: impl Fn(usize) -> String) -> String {
    (0..lines).map(|n| format!("{}\n", line(n))).collect()
}

/// Time on a CPU of this thread (proc_pid_schedstat(5)), which other load on the machine does not stretch; the time of the
/// wall where the kernel does not count it.
fn now(start: Instant) -> Duration {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = counted.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The fastest of several runs: what the work costs when nothing else happens.
fn time(source: &str, validate: Validate) -> Duration {
    let run = || {
        let start = Instant::now();
        let before = now(start);
        let compiled = compile("Agentfile", source.as_bytes(), &Folders, validate);
        let took = now(start).saturating_sub(before);
        drop(std::hint::black_box(compiled));
        took
    };
    (0..7).map(|_| run()).min().unwrap_or_default()
}

fn main() {
    // `cargo test --benches` only asks whether it runs.
    let lines = if std::env::args().any(|argument| argument == "--bench") { 10_000 } else { 100 };
    let mut failed = false;
    let mixed_at = |lines| {
        let source = mixed(lines);
        let compiled = compile("Agentfile", source.as_bytes(), &Folders, Validate::WhenWritten);
        if compiled.plan.is_none() {
            eprintln!("the mixed file has errors: {:?}", compiled.diagnostics.first());
        }
        (source, compiled.plan.is_none())
    };
    let (source, wrong) = mixed_at(lines);
    let (double, _) = mixed_at(lines * 2);
    failed |= wrong;
    let run = time(&source, Validate::WhenWritten);
    let twice = time(&double, Validate::WhenWritten);
    println!(
        "mixed, {} lines, {} policies: {run:.1?} (twice as many: {twice:.1?})",
        source.lines().count(),
        lines / 40
    );
    println!("mixed, all checks: {:.1?}", time(&source, Validate::Always));
    println!("binds: {:.1?}", time(&only(lines, |n| format!("BIND ./a{n} /work/a{n} rw")), Validate::Always));
    println!(
        "the same line: {:.1?}",
        time(&only(lines, |_| "BIND ./a /work rw".to_owned()), Validate::Always)
    );
    println!(
        "denials: {:.1?}",
        time(&format!("MOUNT /w rw\n{}", only(lines, |n| format!("DENY write /w/{n}"))), Validate::Always)
    );
    println!("unknown words: {:.1?}", time(&only(lines, |n| format!("TOLL x{n}")), Validate::Always));
    // Shorter than the clock's step: many at once.
    let start = Instant::now();
    let before = now(start);
    for _ in 0..1000 {
        drop(std::hint::black_box(compile(
            "Agentfile",
            b"AGENT x\nCMD true\n",
            &Folders,
            Validate::WhenWritten,
        )));
    }
    println!("minimal: {:.1?}", now(start).saturating_sub(before) / 1000);
    if lines >= 10_000 {
        failed |= run >= Duration::from_millis(100) || twice > run * 3;
    }
    if failed {
        eprintln!("too slow, or wrong");
        std::process::exit(1);
    }
}
