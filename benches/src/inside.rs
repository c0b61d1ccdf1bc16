//! The loops that are run inside each sandbox, by this same program, for the steady-state table: three numbers on
//! one line, nanoseconds for each operation.

use std::process::Command;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};

/// `inside FILE`: opens FILE, which must be readable, some ten thousand times; starts `/bin/true` some hundred times; and
/// asks for its parent's id some hundred thousand times.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [file] = arguments else {
        return Err("`inside` takes one file".to_owned());
    };
    let files = per_operation(20_000, || open_read_close(file))?;
    let spawns = per_operation(200, spawn)?;
    let calls = per_operation(500_000, || {
        std::hint::black_box(rustix::process::getppid());
        Ok(())
    })?;
    println!("{files:.1} {spawns:.1} {calls:.2}");
    Ok(())
}

/// Nanoseconds for each of `count` operations, the best of three tries.
fn per_operation(count: u32, mut operation: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        for _ in 0..count / 3 {
            operation()?;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(count / 3));
    }
    Ok(best)
}

fn open_read_close(file: &str) -> Result<(), String> {
    let opened = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| error.to_string())?;
    let mut buffer = [0_u8; 4096];
    rustix::io::read(&opened, &mut buffer).map(|_| ()).map_err(|error| error.to_string())
}

fn spawn() -> Result<(), String> {
    match Command::new("/bin/true").status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`/bin/true`: {status}")),
        Err(error) => Err(format!("`/bin/true`: {error}")),
    }
}
