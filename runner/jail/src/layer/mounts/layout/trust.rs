//! Layout of the bundle of certificates that the run's own authority is part of: made where nothing of the host's is, and
//! laid over the host's own bundles, links followed as they lead inside.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use agentfile::plan::{Generated, Mount, MountSource, Origin, SYSTEM_BUNDLES};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{FileSystem, Layout, Place, join, own, relative};
use crate::layer::mounts::op::Op;
use crate::refusal::Refusal;
use crate::step::Step;
use crate::sys::mount::READ_ONLY;

/// Name of the file that lies over others, in the sealed folder.
const NAME: &str = "trust";
/// The same for a system call, relative to the new root.
const LAID: &std::ffi::CStr = c".agentrc/trust";
/// Bundles have some 200 KiB; what is not one must not fill the memory of the sandbox.
const MOST: u64 = 4 << 20;
/// Links on the way to one file (path_resolution(7)).
const LINKS: usize = 40;

/// What there is inside at a path, its links followed.
#[derive(Debug, PartialEq, Eq)]
enum Inside {
    /// A file of the host's.
    Host(String),
    /// Nothing, where files of our own can be made.
    Free(String),
    /// Nothing that can be laid over: it is hidden, or a link of the host's leads to where it has no file.
    Nothing,
}

impl Layout<'_> {
    /// Makes every trust bundle of the plan.
    pub(super) fn trust(&mut self, mounts: &[Mount]) -> Result<(), Refusal> {
        let bundle = MountSource::Generated { what: Generated::TrustBundle };
        let bundles: Vec<&Mount> = mounts.iter().filter(|mount| mount.source == bundle).collect();
        let Some(first) = bundles.first() else { return Ok(()) };
        let Some(own) = self.inputs.trust else {
            let reason = "the plan needs a certificate authority of the run's own, and there is none";
            return Err(Refusal::new(Step::PrepareMounts, reason).at(&first.origin));
        };
        let system = SYSTEM_BUNDLES.iter().map(Path::new);
        let text = text(own, std::env::var_os("SSL_CERT_FILE"), system)
            .map_err(|refusal| refusal.at(&first.origin))?;
        let mut done = BTreeSet::new();
        for Mount { target, optional, origin, .. } in bundles {
            if *optional && !is_file(Path::new(target)).map_err(|refusal| refusal.at(origin))? {
                continue;
            }
            match self.inside(target, origin)? {
                Inside::Nothing => {}
                Inside::Host(at) if done.insert(at.clone()) => self.lay_over(&at, &text, origin)?,
                Inside::Free(at) if done.insert(at.clone()) => {
                    self.parent(&at, origin)?;
                    self.make_file(&at, 0o444, text.clone(), origin)?;
                }
                Inside::Host(_) | Inside::Free(_) => {}
            }
        }
        Ok(())
    }

    fn lay_over(&mut self, target: &str, text: &[u8], origin: &Origin) -> Result<(), Refusal> {
        let laid = join(own::SEALED, NAME);
        if !self.made.contains(&laid) {
            self.make_file(&laid, 0o444, text.to_vec(), origin)?;
        }
        let path = relative(target)?;
        self.push_inside(Op::Hide { path, with: LAID }, target, origin);
        self.expect(target, READ_ONLY, FileSystem::Own("tmpfs"));
        Ok(())
    }

    /// Walks to `target` as a program inside would.
    fn inside(&self, target: &str, origin: &Origin) -> Result<Inside, Refusal> {
        let (mut at, mut links) = (PathBuf::from("/"), 0);
        let mut left: Vec<OsString> = parts(Path::new(target));
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(part);
            let Some(path) = at.to_str() else { return Ok(Inside::Nothing) };
            if self.hidden.contains(path) {
                return Ok(Inside::Nothing);
            }
            let link = match self.cover(path) {
                (Place::Host(host), rest) => {
                    let host = if rest.is_empty() { host.clone() } else { host.join(rest) };
                    let refuse = |errno| {
                        Refusal::kernel(Step::ResolveSource, &host.display().to_string(), errno).at(origin)
                    };
                    match rustix::fs::lstat(&host) {
                        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Inside::Nothing),
                        Err(errno) => return Err(refuse(errno)),
                        Ok(found) => match FileType::from_raw_mode(found.st_mode) {
                            FileType::Symlink => {
                                let to = rustix::fs::readlink(&host, Vec::new()).map_err(refuse)?;
                                Some(PathBuf::from(OsString::from_vec(to.into_bytes())))
                            }
                            FileType::RegularFile if left.is_empty() => {
                                return Ok(Inside::Host(path.to_owned()));
                            }
                            FileType::Directory if !left.is_empty() => None,
                            _ => return Ok(Inside::Nothing),
                        },
                    }
                }
                (Place::Ours, _) => self.links.get(path).cloned(),
            };
            if let Some(to) = link {
                links += 1;
                if links > LINKS {
                    return Err(Refusal::kernel(Step::ResolveSource, target, Errno::LOOP).at(origin));
                }
                at.pop();
                if to.is_absolute() {
                    at = PathBuf::from("/");
                }
                left.extend(parts(&to));
            }
        }
        match at.to_str() {
            Some(path) if !self.made.contains(path) => Ok(Inside::Free(path.to_owned())),
            _ => Ok(Inside::Nothing),
        }
    }
}

/// The parts of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Whether the host has a file there, links followed.
fn is_file(path: &Path) -> Result<bool, Refusal> {
    match rustix::fs::stat(path) {
        Ok(found) => Ok(FileType::from_raw_mode(found.st_mode) == FileType::RegularFile),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(Refusal::kernel(Step::ResolveSource, &path.display().to_string(), errno)),
    }
}

/// The bundle that the caller named, else the first of the system's that is there, and `own` behind it. A host without any
/// certificates trusts nobody, and neither does what runs on it: then `own` is all.
fn text<'a>(
    own: &[u8],
    named: Option<OsString>,
    system: impl Iterator<Item = &'a Path>,
) -> Result<Vec<u8>, Refusal> {
    let named = named.filter(|named| !named.is_empty()).map(PathBuf::from);
    let mut text = match named {
        Some(named) => read(&named).map_err(|refusal| {
            refusal.help("the variable `SSL_CERT_FILE` names it: unset that, or name a bundle in PEM")
        })?,
        None => {
            let mut found = None;
            for path in system {
                if is_file(path)? {
                    found = Some(read(path)?);
                    break;
                }
            }
            found.unwrap_or_default()
        }
    };
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(own);
    Ok(text)
}

fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    let shown = path.display();
    let refuse =
        |why: String| Refusal::new(Step::ResolveSource, format!("the certificates of `{shown}` {why}"));
    if !is_file(path)? {
        return Err(refuse("are not there, or no file".to_owned()));
    }
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST + 1).read_to_end(&mut text))
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if text.len() as u64 > MOST {
        return Err(refuse(format!("are more than {} MiB", MOST >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use agentfile::Nothing;
    use agentfile::compile::{Validate, compile};
    use agentfile::plan::Plan;

    use super::*;
    use crate::layer::mounts::layout::{Inputs, prepare};
    use crate::placeholder::Placeholders;
    use crate::resolve::Places;

    const AUTHORITY: &[u8] = b"-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----\n";

    fn plan(lines: &str) -> Plan {
        let source = format!("AGENT x\nCMD /bin/true\n{lines}\n");
        compile("Agentfile", source.as_bytes(), &Nothing, Validate::WhenWritten).plan.unwrap()
    }

    /// Lays out `plan` with the host's `etc` and what it leads to in `host`, and hands it to `look`.
    fn laid_out<T>(plan: &Plan, host: &Path, look: impl FnOnce(&mut Layout<'_>) -> T) -> T {
        let places = Places { folder: host.to_owned(), links: true, home: None, state: host.join("state") };
        let mut placeholders = Placeholders::default();
        let inputs = Inputs {
            plan,
            plan_sha256: "",
            places: &places,
            run: host,
            placeholders: &mut placeholders,
            sockets: Some(Vec::new()),
            trust: Some(AUTHORITY),
            client: None,
        };
        let mut layout = Layout::new(inputs);
        layout.places.insert("/".to_owned(), Place::Ours);
        look(&mut layout)
    }

    fn origin() -> Origin {
        Origin { file: "Agentfile".to_owned(), line: 3, column: 1 }
    }

    #[test]
    fn a_bundle_is_found_through_the_links_as_they_lead_inside() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path();
        std::fs::create_dir_all(host.join("certs")).unwrap();
        std::fs::create_dir_all(host.join("ca-trust/extracted/pem")).unwrap();
        std::fs::write(host.join("ca-trust/extracted/pem/tls-ca-bundle.pem"), "x").unwrap();
        std::fs::write(host.join("certs/plain.crt"), "x").unwrap();
        symlink("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", host.join("certs/absolute.crt"))
            .unwrap();
        symlink("../../ca-trust/extracted/pem/../pem/tls-ca-bundle.pem", host.join("certs/relative.crt"))
            .unwrap();
        symlink("/var/lib/ca/bundle.pem", host.join("certs/elsewhere.crt")).unwrap();
        symlink("/etc/pki/tls/certs/missing.crt", host.join("certs/dangling.crt")).unwrap();
        symlink("circle.crt", host.join("certs/circle.crt")).unwrap();
        laid_out(&plan(""), host, |layout| {
            let bound = |place: &str| Place::Host(host.join(place));
            layout.places.insert("/etc/pki/tls/certs".to_owned(), bound("certs"));
            layout.places.insert("/etc/pki/ca-trust".to_owned(), bound("ca-trust"));
            layout.links.insert("/etc/ssl/certs".to_owned(), "../pki/tls/certs".into());
            layout.made.insert("/etc/made".to_owned());
            let at = |target: &str| layout.inside(target, &origin()).map_err(|refusal| refusal.to_string());
            let on = |path: &str| Ok(Inside::Host(path.to_owned()));
            let bundle = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
            assert_eq!(at(bundle), on(bundle));
            assert_eq!(at("/etc/pki/tls/certs/plain.crt"), on("/etc/pki/tls/certs/plain.crt"));
            assert_eq!(at("/etc/pki/tls/certs/absolute.crt"), on(bundle));
            assert_eq!(at("/etc/pki/tls/certs/relative.crt"), on(bundle));
            // `/etc/ssl/certs` is a link of the host's that was made anew.
            assert_eq!(at("/etc/ssl/certs/plain.crt"), on("/etc/pki/tls/certs/plain.crt"));
            assert_eq!(at("/etc/ssl/certs/absolute.crt"), on(bundle));
            // Where nothing of the host's is shown, a file of our own is made.
            let free = |path: &str| Ok(Inside::Free(path.to_owned()));
            assert_eq!(at("/etc/pki/tls/certs/elsewhere.crt"), free("/var/lib/ca/bundle.pem"));
            assert_eq!(at("/etc/ssl/cert.pem"), free("/etc/ssl/cert.pem"));
            for nothing in ["/etc/pki/tls/certs/dangling.crt", "/etc/pki/tls/certs", "/etc/made"] {
                assert_eq!(at(nothing), Ok(Inside::Nothing), "{nothing}");
            }
            assert!(at("/etc/pki/tls/certs/circle.crt").unwrap_err().contains("ELOOP"));
        });
    }

    #[test]
    fn what_a_policy_hides_stays_hidden() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("pem")).unwrap();
        std::fs::write(folder.path().join("pem/bundle.pem"), "x").unwrap();
        laid_out(&plan(""), folder.path(), |layout| {
            layout.places.insert("/etc/certs".to_owned(), Place::Host(folder.path().to_owned()));
            layout.hidden.insert("/etc/certs/pem".to_owned());
            let inside = layout.inside("/etc/certs/pem/bundle.pem", &origin()).unwrap();
            assert_eq!(inside, Inside::Nothing);
        });
    }

    #[test]
    fn a_plan_whose_requests_are_seen_needs_the_runs_own_authority() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            folder: folder.path().to_owned(),
            links: true,
            home: None,
            state: folder.path().join("s"),
        };
        let plan = plan("URL https://a.example/path");
        let prepared = |trust: Option<&[u8]>| {
            let mut placeholders = Placeholders::default();
            prepare(Inputs {
                plan: &plan,
                plan_sha256: "",
                places: &places,
                run: folder.path(),
                placeholders: &mut placeholders,
                sockets: Some(Vec::new()),
                trust,
                client: None,
            })
        };
        let refusal = prepared(None).err().unwrap();
        assert!(refusal.reason.contains("certificate authority"), "{refusal}");
        assert_eq!(refusal.origin.as_ref().unwrap().line, 3);
        let mounts = prepared(Some(AUTHORITY)).ok().unwrap();
        let made = mounts.operations.iter().find(|operation| operation.subject == "/agentrc/ca-bundle.pem");
        let Some(Op::File { content, mode: 0o444, .. }) = made.map(|operation| &operation.op) else {
            panic!()
        };
        assert!(content.ends_with(AUTHORITY));
        for bundle in SYSTEM_BUNDLES.iter().filter(|bundle| Path::new(bundle).exists()) {
            let real = std::fs::canonicalize(bundle).unwrap();
            let over = |subject: &str| subject == *bundle || Path::new(subject) == real;
            assert!(mounts.operations.iter().any(|operation| over(&operation.subject)), "{bundle}");
        }
    }

    #[test]
    fn the_text_is_the_named_bundle_or_the_first_there_is_and_the_authority() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("first"), "FIRST").unwrap();
        std::fs::write(path("second"), "SECOND\n").unwrap();
        std::fs::write(path("large"), vec![b'x'; MOST as usize + 1]).unwrap();
        let of = |named: Option<&str>, system: &[&str]| {
            let system: Vec<_> = system.iter().map(|name| path(name)).collect();
            let named = named.map(|name| path(name).into_os_string());
            text(AUTHORITY, named, system.iter().map(PathBuf::as_path)).map(|text| {
                String::from_utf8(text).unwrap().replace(std::str::from_utf8(AUTHORITY).unwrap(), "OWN")
            })
        };
        assert_eq!(of(None, &["none", "first", "second"]).unwrap(), "FIRST\nOWN");
        assert_eq!(of(Some("second"), &["first"]).unwrap(), "SECOND\nOWN");
        assert_eq!(of(None, &["none"]).unwrap(), "OWN");
        for named in ["none", ".", "large"] {
            let refusal = of(Some(named), &["first"]).unwrap_err();
            assert!(refusal.help.as_ref().is_some_and(|help| help.contains("SSL_CERT_FILE")), "{refusal}");
        }
        assert!(of(None, &["large"]).is_err());
    }
}
