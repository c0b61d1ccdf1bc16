//! What the name of an argument says that it is.

/// Longest name of an argument that says something, in bytes: it is read once for each argument.
const LONGEST: usize = 128;

/// What an argument is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The path of one file.
    File,
    /// The path of what may have others in it, or several paths.
    Files,
    Url,
    Host,
}

impl Kind {
    pub(super) fn is_path(self) -> bool {
        matches!(self, Self::File | Self::Files)
    }
}

/// What the last word of a name says, in lower case.
const LAST: [(&str, Kind); 19] = [
    ("path", Kind::Files),
    ("paths", Kind::Files),
    ("filepath", Kind::File),
    ("file", Kind::File),
    ("files", Kind::Files),
    ("filename", Kind::File),
    ("filenames", Kind::Files),
    ("dir", Kind::Files),
    ("dirs", Kind::Files),
    ("directory", Kind::Files),
    ("directories", Kind::Files),
    ("folder", Kind::Files),
    ("folders", Kind::Files),
    ("url", Kind::Url),
    ("urls", Kind::Url),
    ("uri", Kind::Url),
    ("uris", Kind::Url),
    ("host", Kind::Host),
    ("hostname", Kind::Host),
];
/// The same of names of one word, which says many other things at the end of more.
const ALONE: [(&str, Kind); 7] = [
    ("source", Kind::File),
    ("destination", Kind::File),
    ("src", Kind::File),
    ("dst", Kind::File),
    ("dest", Kind::File),
    ("cwd", Kind::Files),
    ("root", Kind::Files),
];
/// Last words of names that are a folder's where the text is a path from `/` on, and otherwise many things.
const PLACES: [&str; 6] = ["repo", "repository", "workspace", "project", "base", "root"];
/// Last words of names of what is in a file, or is said about it.
const CONTENT: [&str; 10] =
    ["content", "contents", "text", "body", "data", "code", "patch", "diff", "description", "comment"];

/// What a name says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said {
    pub(super) kind: Option<Kind>,
    /// What is in a file, or is said about it.
    pub(super) is_content: bool,
    is_place: bool,
}

impl Said {
    /// What it says of this text, which has no space around it.
    pub(super) fn of(self, text: &str) -> Option<Kind> {
        self.kind.or_else(|| (self.is_place && text.starts_with('/')).then_some(Kind::Files))
    }
}

/// `file_path`, `filePath`, `FILE-PATH` and `file_path_2` say the same; so does `fILEpATH`, to those that compare without case.
pub(super) fn said(name: &str) -> Said {
    if name.len() > LONGEST {
        return Said::default();
    }
    let words = words(name);
    let ends_in = |known: &[&str]| words.last().is_some_and(|last| known.contains(&last.as_str()));
    let (is_content, is_place) = (ends_in(&CONTENT), ends_in(&PLACES));
    let without_case = || kind(self::words(&name.to_lowercase().replace('ſ', "s")));
    Said { kind: kind(words).or_else(without_case), is_content, is_place }
}

fn kind(mut words: Vec<String>) -> Option<Kind> {
    // What tells one from another: a number, or a letter.
    while words.len() > 1 && words.last().is_some_and(|word| word.len() <= 1) {
        words.pop();
    }
    // `fileName`, `host_name`.
    if words.len() > 1 && words.last().is_some_and(|word| word == "name" || word == "names") {
        words.pop();
    }
    let last = words.last()?;
    let alone = ALONE.iter().filter(|_| words.len() == 1);
    alone.chain(&LAST).find(|(known, _)| known == last).map(|(_, kind)| *kind)
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
            "pATH",
            "FILEpath",
            "ſrc",
        ] {
            assert!(said(name).kind.is_some_and(Kind::is_path), "{name}");
        }
        for name in
            ["url", "URL", "imageURL", "baseUrl", "BASE_URL", "url_2", "fileURI", "webhookURLs", "page_uris"]
        {
            assert_eq!(said(name).kind, Some(Kind::Url), "{name}");
        }
        for name in ["host", "hostName", "dbHost", "DB_HOST", "hostname2", "host_name"] {
            assert_eq!(said(name).kind, Some(Kind::Host), "{name}");
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
            &format!("{}path", "a_".repeat(100)),
        ] {
            assert_eq!(said(name).kind, None, "{name}");
        }
        for (name, is) in
            [("content", true), ("newText", true), ("old_text", true), ("context", false), ("a", false)]
        {
            assert_eq!(said(name).is_content, is, "{name}");
        }
    }
}
