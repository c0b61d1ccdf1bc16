//! Words of a command of a manual, without a shell: UTCP hands such a text to one, with the arguments' values written into it. Here
//! the text is split once, before there is any value, and what only a shell could do is refused.

use crate::plan::Part;
use crate::schema::Fault;

const BEGIN: &str = "UTCP_ARG_";
const END: &str = "_UTCP_END";
const PROGRAM: &str =
    "no shell reads it: write a program of your own, and declare it as `TOOL local:./tools/NAME`";

/// The words of `command`, each of its parts.
///
/// # Errors
/// It needs a shell, or is none.
pub(super) fn words(command: &str) -> Result<Vec<Vec<Part>>, Fault> {
    texts(command)?.iter().map(|word| parts(word)).collect()
}

/// Words as a POSIX shell would split them (2.2, "Quoting"), where nothing is expanded.
fn texts(command: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => quoted(&mut characters, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut characters, '"', word.get_or_insert_default())?,
            '\\' => match characters.next() {
                Some(next) if !next.is_control() => word.get_or_insert_default().push(next),
                _ => return Err(Fault::new("ends a line with `\\`", PROGRAM)),
            },
            '~' | '#' | '!' if word.is_none() => return Err(shell(character)),
            ';' | '&' | '|' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '[' | ']' | '{' | '}' => {
                return Err(shell(character));
            }
            _ if character.is_control() => return Err(shell(character)),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Up to the closing `quote`.
fn quoted(characters: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Result<(), Fault> {
    loop {
        match characters.next() {
            None => return Err(Fault::new("has a quote that is not closed", "close it")),
            Some(character) if character == quote => return Ok(()),
            Some(character) if character.is_control() => return Err(shell(character)),
            Some(character @ ('$' | '`')) if quote == '"' => return Err(shell(character)),
            // Within double quotes `\` stands before what it quotes, and otherwise for itself.
            Some('\\') if quote == '"' => match characters.clone().next() {
                Some(next @ ('"' | '\\' | '$' | '`')) => {
                    characters.next();
                    word.push(next);
                }
                _ => word.push('\\'),
            },
            Some(character) => word.push(character),
        }
    }
}

fn shell(character: char) -> Fault {
    let what = match character {
        '$' | '`' => "a variable or another command's output",
        '<' | '>' => "a redirection",
        '*' | '?' | '[' | ']' | '{' | '}' | '~' => "a pattern of file names",
        _ => "what only a shell understands",
    };
    Fault::new(
        format!("needs a shell: it has `{}` ({what})", character.escape_debug()),
        format!("quote it where it is meant as it stands; otherwise, {PROGRAM}"),
    )
}

/// Texts and arguments of one word.
fn parts(word: &str) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let named = after.split_once(END);
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let Some((name, behind)) = named.filter(|(name, _)| is_name(name) && !name.contains(BEGIN)) else {
            return Err(Fault::new(
                format!("has a `{BEGIN}` that names no argument"),
                format!("write `{BEGIN}name{END}`, of letters, digits and `_`"),
            ));
        };
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Argument(name.to_owned()));
        rest = behind;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell_that_expands_nothing() {
        for (command, wanted) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            ("a 'b  c' \"d e\"f ''", &["a", "b  c", "d ef", ""]),
            (r#"a \; "\"\\\x" '\'"#, &["a", ";", r#""\\x"#, r"\"]),
            ("a '$x;`' HEAD~1 x#y é", &["a", "$x;`", "HEAD~1", "x#y", "é"]),
            ("", &[]),
        ] {
            assert_eq!(texts(command).unwrap(), wanted, "{command}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        for command in [
            "a; b",
            "a && b",
            "a | b",
            "a $(b)",
            "a `b`",
            "a \"$b\"",
            "a \"`b`\"",
            "a > b",
            "a < b",
            "a *",
            "a b?",
            "a [x]",
            "a {b,c}",
            "a ~/b",
            "a # b",
            "! a",
            "(a)",
            "a\nb",
            "a 'b\nc'",
            "a\0",
            "a \\\n b",
            "$CMD_0_OUTPUT",
            "a &",
        ] {
            let fault = texts(command).unwrap_err();
            assert!(fault.help.contains("TOOL local:"), "{command}: {fault:?}");
        }
        assert!(texts("a 'b").unwrap_err().what.contains("not closed"));
    }

    #[test]
    fn an_argument_is_a_word_or_a_part_of_one() {
        let argument = |name: &str| Part::Argument(name.to_owned());
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            words("a UTCP_ARG_x_UTCP_END 'b=UTCP_ARG_y_1_UTCP_END.UTCP_ARG_x_UTCP_END'").unwrap(),
            [
                vec![text("a")],
                vec![argument("x")],
                vec![text("b="), argument("y_1"), text("."), argument("x")],
            ]
        );
        for command in [
            "a UTCP_ARG_x",
            "a UTCP_ARG__UTCP_END",
            "a 'UTCP_ARG_x y_UTCP_END'",
            "UTCP_ARG_UTCP_ARG_x_UTCP_END",
        ] {
            assert!(words(command).is_err(), "{command}");
        }
    }
}
