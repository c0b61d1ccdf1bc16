//! Which schemas ask which others about the same value. A schema that comes back to itself without going into the value
//! has no meaning (validators take it for `true`, or never end); a long chain would fill the stack; a wide one takes hours.

use std::collections::{BTreeSet, HashMap};

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
    weights: HashMap<String, Weight>,
}

/// What a schema takes by itself, without what it refers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    /// Once for itself, for each thing that it compares a value with, and for each schema in it.
    pub(super) all: u64,
    /// How many of its own may look at one thing in the value.
    pub(super) inwards: u64,
}

/// What one schema comes to, with those that it asks about the same value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    /// Questions about the value, itself included.
    pub(super) questions: usize,
    /// The longest chain of them.
    height: usize,
    /// How often it may go into a value that is in the value.
    pub(super) inwards: u64,
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

    /// The schema at `pointer` weighs so much.
    pub(super) fn weigh(&mut self, pointer: &str, weight: Weight) {
        self.weights.insert(pointer.to_owned(), weight);
    }

    /// What the schema at `pointer` weighs, with all that anything here refers to.
    pub(super) fn weight(&self, pointer: &str) -> u64 {
        let mut all: BTreeSet<&str> = self.references.iter().map(|(_, to)| to.as_str()).collect();
        all.insert(pointer);
        all.iter()
            .filter_map(|pointer| self.weights.get(*pointer))
            .fold(0, |sum, weight| sum.saturating_add(weight.all))
    }

    /// Whether any of it refers to another.
    pub(super) fn refers(&self) -> bool {
        !self.references.is_empty()
    }

    /// The schema at `from` refers to `to`.
    pub(super) fn refer(&mut self, from: &str, to: &str) {
        self.references.push((from.to_owned(), to.to_owned()));
        self.ask(from, to.to_owned());
    }

    /// Whether every reference leads to a schema, and every question ends. The most that one of them comes to.
    ///
    /// # Errors
    /// The first that does not.
    pub(super) fn check(&self) -> Result<Asked, Fault> {
        for (from, to) in &self.references {
            if !self.schemas.contains_key(to) {
                return Err(Fault::new(
                    format!("refers to `#{to}` at `#{from}`, where there is no schema"),
                    "a `$ref` names a schema of this document, as in `#/$defs/Name`",
                ));
            }
        }
        let mut seen = HashMap::new();
        self.schemas.keys().try_fold(Asked::default(), |most, pointer| {
            let asked = self.asked(pointer, 1, &mut seen)?;
            Ok(Asked {
                questions: most.questions.max(asked.questions),
                height: most.height.max(asked.height),
                inwards: most.inwards.max(asked.inwards),
            })
        })
    }

    /// `seen`: what was found out already; `None` on the way to what is looked at.
    fn asked<'a>(
        &'a self,
        pointer: &'a str,
        depth: usize,
        seen: &mut HashMap<&'a str, Option<Asked>>,
    ) -> Result<Asked, Fault> {
        let help = "use `items` or `properties` on the way, or fewer references to references";
        match seen.get(pointer) {
            Some(Some(asked)) => return Ok(*asked),
            Some(None) => {
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
        seen.insert(pointer, None);
        let inwards = self.weights.get(pointer).map_or(0, |weight| weight.inwards);
        let mut all = Asked { questions: 1, height: 0, inwards };
        for next in self.schemas.get(pointer).into_iter().flatten() {
            let next = self.asked(next, depth + 1, seen)?;
            all.questions = all.questions.saturating_add(next.questions);
            all.height = all.height.max(next.height);
            all.inwards = all.inwards.saturating_add(next.inwards);
        }
        all.height += 1;
        if all.questions > QUESTIONS_MAX {
            return too_much(format!("more than {QUESTIONS_MAX} schemas"));
        }
        if all.height > CHAIN_MAX {
            return too_much(format!("a chain of more than {CHAIN_MAX} schemas"));
        }
        seen.insert(pointer, Some(all));
        Ok(all)
    }
}
