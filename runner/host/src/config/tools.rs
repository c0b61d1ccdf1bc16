//! `[tools]`: which namespaces of tools, that only a framework inside an agent could serve otherwise, are served here.

use std::collections::BTreeMap;

use agentfile::host::is_frameworks;

use super::file::{self, Text};
use super::{Error, Setting};

/// What a namespace is written to be.
const BUILT_IN: &str = "utcp";

/// Those whose tools are what is built in, and the package's manuals.
pub type Namespaces = BTreeMap<String, Setting<()>>;

pub(super) fn of(text: &Text, read: file::Tools) -> Result<Namespaces, Error> {
    let mut all = Namespaces::new();
    for (namespace, written) in read.namespaces {
        let refuse = |why: String, help: &str| text.wrong(&written, why, help.to_owned());
        if !is_frameworks(&namespace) {
            let why = format!("`{}` is no namespace of a framework's", namespace.escape_debug());
            return Err(refuse(
                why,
                "write it as `TOOL` lines do, such as `strands`; agentrc's own stay what they are",
            ));
        }
        if written.get_ref() != BUILT_IN {
            let why = format!("`{}` serves no tools", written.get_ref().escape_debug());
            return Err(refuse(why, "write `utcp`: what is built in, and the package's manuals"));
        }
        all.insert(namespace, text.setting(&written, ()));
    }
    Ok(all)
}
