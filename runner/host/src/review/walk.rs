//! From an upper layer to a list of changes.
//!
//! overlayfs (Documentation/filesystems/overlayfs.rst) leaves in the upper layer: what was made or written, whole; a character
//! device 0/0 (a whiteout) for what was removed; `user.overlay.opaque` on a folder that hides the source's; with `userxattr` redirects and
//! metadata-only copies do not exist, so their marks are an error.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use agentrc_audit::folder::Folder;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::Copy;
use super::change::{Change, ChangeKind, Identity, Node, What};
use crate::error::Error;
use crate::record::Clock;
use crate::tree::entries;

const OPAQUE: &str = "user.overlay.opaque";
/// What only other mount options, or other kernels' layers, put there.
const NEVER: [&str; 3] = ["user.overlay.redirect", "user.overlay.metacopy", "user.overlay.whiteout"];

/// How a folder of the upper layer lies over the source's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Both show.
    Merged,
    /// The source's is hidden.
    Opaque,
    /// The source has none.
    Nothing,
}

/// All changes of one copy, sorted so that what is in a folder follows it.
pub(super) fn changes(copy: &Copy) -> Result<Vec<Change>, Error> {
    let mut walk = Walk { copy, found: Vec::new() };
    walk.root()?;
    let mut folders = vec![(PathBuf::new(), Over::Merged)];
    while let Some((path, over)) = folders.pop() {
        walk.folder(&path, over, &mut folders)?;
    }
    let mut found = walk.found;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// One entry of the upper layer.
struct Entry<'a> {
    upper: &'a Folder,
    name: &'a OsStr,
    /// From the root of the copy.
    path: &'a Path,
    /// How the folder it is in lies over the source's.
    over: Over,
    marks: Marks,
}

struct Walk<'a> {
    copy: &'a Copy,
    found: Vec<Change>,
}

impl Walk<'_> {
    /// The launch gives the upper folder the permission bits of the source, and always those that its owner needs to work
    /// in it. Anything else is the agent's doing.
    fn root(&mut self) -> Result<(), Error> {
        let stat = |folder: &Folder| fs::fstat(folder).map_err(Error::io("look at", folder.path()));
        let before = node(&self.copy.source, OsStr::new("."), &stat(&self.copy.source)?)?;
        let mut after = node(&self.copy.upper, OsStr::new("."), &stat(&self.copy.upper)?)?;
        let bits = after.mode & 0o777;
        if bits != before.mode & 0o777 | 0o700 {
            after.mode = bits | before.mode & 0o1000;
            self.push(PathBuf::new(), ChangeKind::Mode, Some(before), Some(after), Marks::default());
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path, over: Over, folders: &mut Vec<(PathBuf, Over)>) -> Result<(), Error> {
        let upper = open_folder(&self.copy.upper, path)?;
        let source = if over == Over::Nothing { None } else { Some(open_folder(&self.copy.source, path)?) };
        let in_upper = entries(&upper)?;
        for (name, _) in &in_upper {
            let place = path.join(name);
            let stat = look(&upper, name)?.ok_or_else(|| Error::Meanwhile(upper.path_of(name)))?;
            let before = self.before(source.as_ref(), name)?;
            if is_whiteout(&stat) {
                if let Some(before) = before {
                    self.removed(&place, before)?;
                }
                continue;
            }
            let after = node(&upper, name, &stat)?;
            let marks = Marks::of(&upper, name, &after)?;
            let entry = Entry { upper: &upper, name, path: &place, over, marks };
            if let Some(next) = self.compare(&entry, before, after)? {
                folders.push((place, next));
            }
        }
        if let (Over::Opaque, Some(source)) = (over, &source) {
            let known = |name: &OsString| {
                in_upper.binary_search_by(|(other, _)| other.as_bytes().cmp(name.as_bytes()))
            };
            for (name, _) in entries(source)?.iter().filter(|(name, _)| known(name).is_err()) {
                if let Some(before) = self.before(Some(source), name)? {
                    self.removed(&path.join(name), before)?;
                }
            }
        }
        Ok(())
    }

    fn before(&self, source: Option<&Folder>, name: &OsStr) -> Result<Option<Node>, Error> {
        let Some(source) = source else { return Ok(None) };
        look(source, name)?.map(|stat| node(source, name, &stat)).transpose()
    }

    /// Records how one path changed; how its folder lies over the source's, when it is one that is to be walked.
    fn compare(
        &mut self,
        entry: &Entry<'_>,
        before: Option<Node>,
        after: Node,
    ) -> Result<Option<Over>, Error> {
        let marks = entry.marks;
        let walked = after.what == What::Folder && !marks.unreadable;
        let place = entry.path.to_owned();
        let Some(before) = before else {
            self.push(place, ChangeKind::Added, None, Some(after), marks);
            return Ok(walked.then_some(Over::Nothing));
        };
        let mut next = Over::Nothing;
        let kind = match (&before.what, &after.what) {
            (What::Folder, What::Folder) => {
                next = if marks.opaque { Over::Opaque } else { entry.over };
                (before.mode != after.mode || marks.unreadable).then_some(ChangeKind::Mode)
            }
            (What::File, What::File) => {
                let same = before.size == after.size && !marks.unreadable && self.same_content(entry)?;
                let mode = (before.mode != after.mode).then_some(ChangeKind::Mode);
                if same { mode } else { Some(ChangeKind::Modified) }
            }
            (What::Symlink(old), What::Symlink(new)) => (old != new).then_some(ChangeKind::Modified),
            (What::Special(old), What::Special(new)) if old == new => None,
            (What::Folder, _) => {
                self.removed_inside(entry.path)?;
                Some(ChangeKind::Retyped)
            }
            _ => Some(ChangeKind::Retyped),
        };
        if let Some(kind) = kind {
            self.push(place, kind, Some(before), Some(after), marks);
        }
        Ok(walked.then_some(next))
    }

    /// Records that `place` is gone, and everything in it.
    fn removed(&mut self, place: &Path, before: Node) -> Result<(), Error> {
        let is_folder = before.what == What::Folder;
        self.push(place.to_owned(), ChangeKind::Removed, Some(before), None, Marks::default());
        if is_folder { self.removed_inside(place) } else { Ok(()) }
    }

    fn removed_inside(&mut self, place: &Path) -> Result<(), Error> {
        let mut folders = vec![place.to_owned()];
        while let Some(path) = folders.pop() {
            let source = open_folder(&self.copy.source, &path)?;
            for (name, _) in entries(&source)? {
                let Some(before) = self.before(Some(&source), &name)? else { continue };
                let inner = path.join(&name);
                if before.what == What::Folder {
                    folders.push(inner.clone());
                }
                self.push(inner, ChangeKind::Removed, Some(before), None, Marks::default());
            }
        }
        Ok(())
    }

    fn same_content(&self, entry: &Entry<'_>) -> Result<bool, Error> {
        let Entry { upper, name, path, .. } = *entry;
        let source = open_folder(&self.copy.source, path.parent().unwrap_or(Path::new("")))?;
        let (mut new, mut old) = (open_file(upper, name)?, open_file(&source, name)?);
        let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            let count = fill(&mut new, &mut left).map_err(Error::io("read", &upper.path_of(name)))?;
            let other = fill(&mut old, &mut right).map_err(Error::io("read", &source.path_of(name)))?;
            if left.get(..count) != right.get(..other) {
                return Ok(false);
            }
            if count == 0 {
                return Ok(true);
            }
        }
    }

    fn push(
        &mut self,
        path: PathBuf,
        kind: ChangeKind,
        before: Option<Node>,
        after: Option<Node>,
        marks: Marks,
    ) {
        self.found.push(Change {
            layer: self.copy.copied.layer.clone(),
            target: self.copy.copied.target.clone(),
            path,
            kind,
            before,
            after,
            refusal: None,
            conflict: None,
            unreadable: marks.unreadable,
        });
    }
}

/// What overlayfs says of an entry of the upper layer.
#[derive(Clone, Copy, Default)]
struct Marks {
    opaque: bool,
    /// Its mode keeps us from reading it.
    unreadable: bool,
}

impl Marks {
    fn of(folder: &Folder, name: &OsStr, node: &Node) -> Result<Self, Error> {
        // Only files and folders can have attributes in the `user.` namespace (xattr(7)).
        if !matches!(node.what, What::File | What::Folder) {
            return Ok(Self::default());
        }
        let path = folder.path_of(name);
        let file = match open_entry(folder, name, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::ACCESS) => return Ok(Self { opaque: false, unreadable: true }),
            Err(errno) => return Err(Error::io("open", &path)(errno)),
        };
        let has = |mark: &str| {
            let mut value = [0_u8; 256];
            match fs::fgetxattr(&file, mark, &mut value) {
                Ok(_) | Err(Errno::RANGE) => Ok(true),
                Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
                Err(errno) => Err(Error::io("read the attributes of", &path)(errno)),
            }
        };
        for mark in NEVER {
            if has(mark)? {
                return Err(Error::Mark { path, mark });
            }
        }
        Ok(Self { opaque: has(OPAQUE)?, unreadable: false })
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// stat(2) of an entry itself, not of what it links to.
pub(super) fn look(folder: &Folder, name: &OsStr) -> Result<Option<Stat>, Error> {
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::io("look at", &folder.path_of(name))(errno)),
    }
}

/// One side of a change.
pub(super) fn node(folder: &Folder, name: &OsStr, stat: &Stat) -> Result<Node, Error> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => What::File,
        FileType::Directory => What::Folder,
        FileType::Symlink => {
            let text = fs::readlinkat(folder, name, Vec::new());
            What::Symlink(OsString::from_vec(
                text.map_err(Error::io("read", &folder.path_of(name)))?.into_bytes(),
            ))
        }
        FileType::Fifo => What::Special("FIFO"),
        FileType::Socket => What::Special("socket"),
        FileType::CharacterDevice => What::Special("character device"),
        FileType::BlockDevice => What::Special("block device"),
        FileType::Unknown => What::Special("thing of unknown kind"),
    };
    let bits = if what == What::Folder { 0o5777 } else { 0o7777 };
    let changed =
        Clock { seconds: stat.st_ctime, nanoseconds: u32::try_from(stat.st_ctime_nsec).unwrap_or(0) };
    Ok(Node {
        mode: stat.st_mode & bits,
        size: if what == What::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
        identity: Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            changed,
            owner: stat.st_uid,
            group: stat.st_gid,
        },
        what,
    })
}

/// A folder beneath `root`: through no link, and not into another mount, which a copy never showed.
pub(super) fn open_folder(root: &Folder, path: &Path) -> Result<Folder, Error> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let shown = root.path_of(path);
    let fd = fs::openat2(root, path, flags, Mode::empty(), resolve).map_err(Error::io("open", &shown))?;
    Ok(Folder::new(fd, shown))
}

fn open_entry(folder: &Folder, name: &OsStr, flags: OFlags) -> Result<std::os::fd::OwnedFd, Errno> {
    // O_NONBLOCK: should it have become a FIFO, opening must not hang.
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    fs::openat(folder, name, flags, Mode::empty())
}

/// Opens what was just seen to be an ordinary file, and makes sure that it is one.
pub(super) fn open_file(folder: &Folder, name: &OsStr) -> Result<std::fs::File, Error> {
    let path = folder.path_of(name);
    let fd = open_entry(folder, name, OFlags::RDONLY).map_err(Error::io("open", &path))?;
    let stat = fs::fstat(&fd).map_err(Error::io("look at", &path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::Meanwhile(path));
    }
    Ok(fd.into())
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut std::fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
