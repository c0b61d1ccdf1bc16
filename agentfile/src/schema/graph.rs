//! Which schemas ask which others about the same value. A schema that comes back to itself without going into the value
//! has no meaning (validators take it for `true`, or never end); a long chain would fill the stack; a wide one takes hours.

use std::collections::HashMap;

use super::Fault;

/// Most schemas in one document.
pub(crate) const SCHEMAS_MAX: usize = 1000;
/// Longest chain of schemas that are asked about one value.
const CHAIN_MAX: usize = 64;
/// Most questions about one value.
const QUESTIONS_MAX: usize = 1000;

/// The schemas of a document by their JSON pointer.
#[derive(Debug, Default)]
pub(super) struct Graph {
    schemas: HashMap<String, Vec<String>>,
    references: Vec<(String, String)>,
}

/// How far one schema was looked at.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// It is on the way to the one that is looked at.
    Open,
    /// It comes to so many questions, itself included.
    Done(usize),
}

impl Graph {
    /// A schema at `pointer`.
    pub(super) fn add(&mut self, pointer: &str) -> Result<(), Fault> {
        self.schemas.insert(pointer.to_owned(), Vec::new());
        if self.schemas.len() > SCHEMAS_MAX {
            let what = format!("holds more than {SCHEMAS_MAX} schemas");
            return Err(Fault::new(what, "keep of it what is needed"));
        }
        Ok(())
    }

    /// The schema at `from` asks the one at `to` about the same value.
    pub(super) fn ask(&mut self, from: &str, to: String) {
        self.schemas.entry(from.to_owned()).or_default().push(to);
    }

    /// The schema at `from` refers to `to`.
    pub(super) fn refer(&mut self, from: &str, to: &str) {
        self.references.push((from.to_owned(), to.to_owned()));
        self.ask(from, to.to_owned());
    }

    /// Whether every reference leads to a schema, and every question ends.
    pub(super) fn check(&self) -> Result<(), Fault> {
        for (from, to) in &self.references {
            if !self.schemas.contains_key(to) {
                return Err(Fault::new(
                    format!("refers to `#{to}` at `#{from}`, where there is no schema"),
                    "a `$ref` names a schema of this document, as in `#/$defs/Name`",
                ));
            }
        }
        let mut seen = HashMap::new();
        self.schemas.keys().try_for_each(|pointer| self.questions(pointer, 1, &mut seen).map(|_| ()))
    }

    fn questions<'a>(
        &'a self,
        pointer: &'a str,
        depth: usize,
        seen: &mut HashMap<&'a str, (Seen, usize)>,
    ) -> Result<(usize, usize), Fault> {
        let help = "use `items` or `properties` on the way, or fewer references to references";
        match seen.get(pointer) {
            Some((Seen::Done(count), height)) => return Ok((*count, *height)),
            Some((Seen::Open, _)) => {
                let what = format!("comes back to `#{pointer}` without going into the value");
                return Err(Fault::new(what, help));
            }
            None => {}
        }
        let too_much =
            |what| Err(Fault::new(format!("asks too much of one value at `#{pointer}`: {what}"), help));
        if depth > CHAIN_MAX {
            return too_much(format!("a chain of more than {CHAIN_MAX} schemas"));
        }
        seen.insert(pointer, (Seen::Open, 0));
        let (mut count, mut height) = (1_usize, 0);
        for next in self.schemas.get(pointer).into_iter().flatten() {
            let (more, above) = self.questions(next, depth + 1, seen)?;
            count = count.saturating_add(more);
            height = height.max(above);
        }
        height += 1;
        if count > QUESTIONS_MAX {
            return too_much(format!("more than {QUESTIONS_MAX} schemas"));
        }
        if height > CHAIN_MAX {
            return too_much(format!("a chain of more than {CHAIN_MAX} schemas"));
        }
        seen.insert(pointer, (Seen::Done(count), height));
        Ok((count, height))
    }
}
