//! Python that runs inside and speaks with the broker, line by line.

/// The lines of a shell script that runs `code` with `programs/broker.py` before it. The script's standard input is its descriptor 3.
pub fn python(code: &str) -> String {
    let client = include_str!("../programs/broker.py");
    format!("/usr/bin/python3 - 3<&0 <<'END_OF_PYTHON'\n{client}\n{code}\nEND_OF_PYTHON\n")
}
