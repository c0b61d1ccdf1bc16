//! What it costs when a kernel feature is missing, and how to get it: the few lines that read the table. Which row
//! applies is decided by what this machine's own files say, not by a version or a distribution's name; the distribution
//! only chooses between commands that do the same.

mod table;

use std::path::Path;

pub use table::{COSTS, REMEDIES};

/// A family of distributions with the same commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian and what is made from it, but Ubuntu.
    Debian,
    /// Ubuntu and what is made from it.
    Ubuntu,
    /// Fedora, RHEL and relatives.
    Fedora,
    /// Anything else.
    Other,
}

/// When a row applies.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// Whenever the feature is missing and no other row of it applies.
    Otherwise,
    /// The file's text, trimmed, is this.
    Is(&'static str, &'static str),
    /// The file exists and does not contain this word (words are separated by commas or white space).
    Lacks(&'static str, &'static str),
    /// One of these files exists.
    Exists(&'static [&'static str]),
}

/// One remedy.
#[derive(Debug, Clone, Copy)]
pub struct Remedy {
    /// The features, as the probe names them.
    pub features: &'static [&'static str],
    /// When it applies.
    pub when: When,
    /// The cause, as a clause.
    pub cause: &'static str,
    /// Commands for each family; the first whose families hold this machine's is taken. `{exe}` is this program's
    /// path, `{lsm}` the kernel's list of security modules.
    pub commands: &'static [(&'static [Family], &'static str)],
}

/// What is lost without the feature.
#[must_use]
pub fn cost(feature: &str) -> Option<&'static str> {
    COSTS.iter().find(|(name, _)| *name == feature).map(|(_, cost)| *cost)
}

/// The machine, as far as the table asks about it.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    /// Where its root is; `/` but in tests.
    pub root: &'a Path,
    /// Its family.
    pub family: Family,
    /// Path of this program.
    pub exe: String,
}

impl Machine<'_> {
    /// The remedies that apply when `feature` is missing: cause and commands.
    #[must_use]
    pub fn remedies(&self, feature: &str) -> Vec<(&'static str, String)> {
        let rows = || REMEDIES.iter().filter(|remedy| remedy.features.contains(&feature));
        let mut found: Vec<&Remedy> = rows().filter(|remedy| self.applies(remedy.when)).collect();
        if found.is_empty() {
            found = rows().filter(|remedy| matches!(remedy.when, When::Otherwise)).collect();
        }
        found.into_iter().map(|remedy| (remedy.cause, self.commands(remedy))).collect()
    }

    fn applies(&self, when: When) -> bool {
        match when {
            When::Otherwise => false,
            When::Is(file, text) => self.read(file).is_some_and(|found| found.trim() == text),
            When::Lacks(file, word) => self.read(file).is_some_and(|found| {
                !found.split(|at: char| at == ',' || at.is_whitespace()).any(|found| found == word)
            }),
            When::Exists(files) => files.iter().any(|file| self.at(file).exists()),
        }
    }

    fn commands(&self, remedy: &Remedy) -> String {
        let text = remedy
            .commands
            .iter()
            .find(|(families, _)| families.contains(&self.family))
            .map(|(_, text)| *text)
            .unwrap_or_default();
        let lsm = self.read("/sys/kernel/security/lsm").unwrap_or_default();
        text.replace("{exe}", &self.exe).replace("{lsm}", lsm.trim())
    }

    fn at(&self, file: &str) -> std::path::PathBuf {
        self.root.join(file.trim_start_matches('/'))
    }

    fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.at(file)).ok()
    }
}

/// The family that an `os-release` file (os-release(5)) names.
#[must_use]
pub fn family(os_release: &str) -> Family {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .map(|value| value.trim_matches(['"', '\'']).to_owned())
            .unwrap_or_default()
    };
    let names = format!("{} {}", value("ID="), value("ID_LIKE="));
    let has = |name: &str| names.split_whitespace().any(|found| found == name);
    if has("ubuntu") {
        Family::Ubuntu
    } else if has("debian") {
        Family::Debian
    } else if has("fedora") || has("rhel") {
        Family::Fedora
    } else {
        Family::Other
    }
}

#[cfg(test)]
mod tests {
    use super::table::ALL;
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn on(root: &tempfile::TempDir, family: Family) -> Machine<'_> {
        Machine { root: root.path(), family, exe: "/opt/agentrc".to_owned() }
    }

    #[test]
    fn ubuntu_gets_the_exact_profile_for_this_program() {
        let root = machine(&[("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")]);
        let found = on(&root, Family::Ubuntu).remedies("user-namespaces");
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains("profile agentrc \"/opt/agentrc\" flags=(unconfined) {\n  userns,"));
        assert!(found[0].1.contains("apparmor_parser -r"));
    }

    #[test]
    fn every_cause_that_applies_is_named() {
        let root = machine(&[
            ("proc/sys/kernel/unprivileged_userns_clone", "0\n"),
            ("proc/sys/user/max_user_namespaces", "0\n"),
        ]);
        assert_eq!(on(&root, Family::Debian).remedies("user-namespaces").len(), 2);
        let nothing = machine(&[]);
        let found = on(&nothing, Family::Debian).remedies("user-namespaces");
        assert_eq!(found.len(), 1);
        assert!(found[0].0.contains("built without"));
    }

    #[test]
    fn landlock_keeps_the_other_modules_of_the_boot_parameter() {
        let root = machine(&[("sys/kernel/security/lsm", "lockdown,yama,apparmor")]);
        for family in [Family::Debian, Family::Ubuntu, Family::Fedora, Family::Other] {
            let found = on(&root, family).remedies("landlock");
            assert!(found[0].1.contains("lsm=landlock,lockdown,yama,apparmor"), "{found:?}");
        }
        assert!(on(&root, Family::Fedora).remedies("landlock")[0].1.contains("grubby"));
    }

    #[test]
    fn each_row_has_commands_for_each_family_and_a_cost() {
        for remedy in REMEDIES {
            assert!(remedy.features.iter().all(|feature| cost(feature).is_some()), "{}", remedy.cause);
            for family in ALL {
                assert!(
                    remedy.commands.iter().any(|(families, _)| families.contains(family)),
                    "{}",
                    remedy.cause
                );
            }
        }
    }

    #[test]
    fn every_cost_has_a_way_out_on_any_machine() {
        let nothing = machine(&[]);
        for (feature, _) in COSTS {
            for family in ALL {
                let found = on(&nothing, *family).remedies(feature);
                assert!(
                    found.iter().all(|(_, commands)| !commands.is_empty()) && !found.is_empty(),
                    "{feature}"
                );
            }
        }
    }

    #[test]
    fn families_are_told_apart() {
        assert_eq!(family("ID=debian\n"), Family::Debian);
        assert_eq!(family("NAME=x\nID=ubuntu\nID_LIKE=debian\n"), Family::Ubuntu);
        assert_eq!(family("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Family::Ubuntu);
        assert_eq!(family("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Family::Fedora);
        assert_eq!(family("ID=arch\n"), Family::Other);
    }
}
