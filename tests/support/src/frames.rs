//! Programs in Python that speak HTTP/2 frame by frame (`programs/frames.py`).

/// What each begins with.
const FRAMES: &str = include_str!("../programs/frames.py");

/// A shell's command that runs `script` with them, for this port of the world's: 443 speaks TLS.
pub fn python(port: u16, script: &str) -> String {
    let scheme = if port == 443 { "https" } else { "http" };
    format!("/usr/bin/python3 - <<'END'\nPORT, SCHEME = {port}, '{scheme}'\n{FRAMES}\n{script}\nEND")
}
