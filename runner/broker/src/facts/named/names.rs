//! What the name of an argument says that it is.

/// What an argument is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Path,
    Url,
    Host,
}

/// What the last word of a name says, in lower case.
const LAST: [(&str, Kind); 18] = [
    ("path", Kind::Path),
    ("paths", Kind::Path),
    ("filepath", Kind::Path),
    ("file", Kind::Path),
    ("files", Kind::Path),
    ("filename", Kind::Path),
    ("filenames", Kind::Path),
    ("dir", Kind::Path),
    ("dirs", Kind::Path),
    ("directory", Kind::Path),
    ("directories", Kind::Path),
    ("folder", Kind::Path),
    ("url", Kind::Url),
    ("urls", Kind::Url),
    ("uri", Kind::Url),
    ("uris", Kind::Url),
    ("host", Kind::Host),
    ("hostname", Kind::Host),
];
/// The same of names of one word, which says many other things at the end of more.
const ALONE: [&str; 7] = ["source", "destination", "src", "dst", "dest", "cwd", "root"];

/// What a name says: `file_path`, `filePath`, `FILE-PATH` and `file_path_2` say the same.
pub(super) fn kind(name: &str) -> Option<Kind> {
    let mut words = words(name);
    // What tells one from another: a number, or a letter.
    while words.len() > 1 && words.last().is_some_and(|word| word.len() <= 1) {
        words.pop();
    }
    // `fileName`, `host_name`.
    if words.len() > 1 && words.last().is_some_and(|word| word == "name" || word == "names") {
        words.pop();
    }
    let last = words.last()?;
    if words.len() == 1 && ALONE.contains(&last.as_str()) {
        return Some(Kind::Path);
    }
    LAST.iter().find(|(known, _)| *known == last.as_str()).map(|(_, kind)| *kind)
}

/// The words of a name, in lower case, without digits: it may be written as Python, JavaScript or the shell write names.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, one) in characters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| characters.get(at));
        // Not the end of `URLs`.
        let is_plural = characters.get(at + 1) == Some(&'s')
            && characters.get(at + 2).is_none_or(|behind| !behind.is_lowercase());
        let after = characters.get(at + 1).filter(|_| !is_plural);
        // `filePath`, and `URLPath`.
        let begins = one.is_uppercase()
            && (before.is_some_and(|before| before.is_lowercase() || before.is_numeric())
                || before.is_some_and(|before| before.is_uppercase())
                    && after.is_some_and(|after| after.is_lowercase()));
        if begins || !one.is_alphabetic() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| one.is_alphabetic()) {
            word.extend(one.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_same_in_every_language() {
        for name in [
            "path",
            "Path",
            "PATH",
            "path1",
            "path_2",
            "path_a",
            "file_path",
            "filePath",
            "FilePath",
            "FILE_PATH",
            "file-path",
            "file.path",
            "URLPath",
            "repo_path",
            "fileName",
            "outputDir",
            "files",
            "file2",
            "src",
            "SRC",
            "Source",
            "source_1",
            "cwd",
        ] {
            assert_eq!(kind(name), Some(Kind::Path), "{name}");
        }
        for name in
            ["url", "URL", "imageURL", "baseUrl", "BASE_URL", "url_2", "fileURI", "webhookURLs", "page_uris"]
        {
            assert_eq!(kind(name), Some(Kind::Url), "{name}");
        }
        for name in ["host", "hostName", "dbHost", "DB_HOST", "hostname2", "host_name"] {
            assert_eq!(kind(name), Some(Kind::Host), "{name}");
        }
        for name in [
            "content",
            "profile",
            "pathological",
            "source_language",
            "hosting",
            "xpaths_are",
            "",
            "_",
            "1",
            "é",
        ] {
            assert_eq!(kind(name), None, "{name}");
        }
    }
}
