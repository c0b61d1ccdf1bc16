//! Requests as the strictest server reads them.

/// The targets of the requests in a stream, by the strictest reading of RFC 9112, and whether each is there to its end. Anything that
/// could be read otherwise is a failed test.
#[track_caller]
pub(super) fn strictly_read(mut stream: &[u8]) -> Vec<(String, bool)> {
    let mut targets = Vec::new();
    while !stream.is_empty() {
        let end = stream.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a head");
        let head = std::str::from_utf8(&stream[..end]).expect("text");
        stream = &stream[end + 4..];
        let lines: Vec<&str> = head.split("\r\n").collect();
        assert!(lines.iter().all(|line| !line.contains(['\n', '\r', '\0'])), "a bare line end: {head:?}");
        assert!(lines[1..].iter().all(|line| !line.starts_with([' ', '\t'])), "a folded line: {head:?}");
        let named = |name: &str| -> Vec<&str> {
            let fields = lines[1..].iter().filter_map(|line| line.split_once(':'));
            assert!(
                fields.clone().all(|(name, _)| !name.ends_with([' ', '\t'])),
                "a space before a colon: {head:?}"
            );
            fields
                .filter(|(field, _)| field.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
                .collect()
        };
        let mut whole = true;
        let (lengths, codings) = (named("content-length"), named("transfer-encoding"));
        assert!(lengths.len() + codings.len() <= 1, "two lengths: {head:?}");
        assert_eq!(named("host"), ["api.example.com:8080"], "{head:?}");
        if let [length] = lengths[..] {
            assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{head:?}");
            let length: usize = length.parse().expect("a number");
            whole = length <= stream.len();
            stream = stream.get(length..).unwrap_or_default();
        }
        if let [coding] = codings[..] {
            assert_eq!(coding, "chunked");
            loop {
                let Some(end) = stream.windows(2).position(|two| two == b"\r\n") else {
                    // Cut off: nothing comes behind it.
                    assert!(stream.is_empty(), "{stream:?}");
                    whole = false;
                    break;
                };
                let size = std::str::from_utf8(&stream[..end]).expect("text");
                let size = usize::from_str_radix(size, 16).expect("the size of a chunk, and nothing else");
                whole = end + 2 + size + 2 <= stream.len();
                stream = stream.get(end + 2 + size + 2..).unwrap_or_default();
                if size == 0 || !whole {
                    break;
                }
            }
        }
        targets.push((lines[0].split(' ').nth(1).expect("a target").to_owned(), whole));
    }
    targets
}
