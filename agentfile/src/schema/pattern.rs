//! The patterns of a package's schema: ECMA-262, as JSON Schema says, that an engine without backtracking can match. They
//! are read by the same crate as in the validator, so that both take the same ones.

/// Longest compiled pattern, in bytes; the validator is given the same bound. A hostile one of this size looks at a megabyte in a quarter
/// of a second; one four times as long takes minutes for it, since what the engine remembers does not fit its cache any more.
pub const PATTERN_BYTES: usize = 256 << 10;
/// Longest pattern as it is written.
const TEXT_BYTES: usize = 1024;

/// Why `pattern` may not be used.
pub(super) fn fault(pattern: &str) -> Option<String> {
    if pattern.len() > TEXT_BYTES {
        return Some(format!("it is longer than {TEXT_BYTES} bytes"));
    }
    if !jsonschema_regex::is_valid_ecma_regex(pattern) {
        return Some("it is not one of ECMA-262".to_owned());
    }
    let Ok(translated) = jsonschema_regex::to_rust_regex(pattern) else {
        return Some("it cannot be translated for the engine".to_owned());
    };
    let built = regex::RegexBuilder::new(&translated).size_limit(PATTERN_BYTES).build();
    match built {
        Ok(_) => None,
        Err(regex::Error::CompiledTooBig(_)) => Some("its repetitions come to more than 256 KiB".to_owned()),
        Err(_) => Some("it cannot be matched in linear time".to_owned()),
    }
}
