//! The filter of one run: made, attached, read, asked what it is, dropped.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::error::Error;
use crate::event::{Event, Hook, SIZE};
use crate::object::Object;
use crate::rule::{Allowed, Key, MOST};
use crate::sys::{self, Identity, Map, Ring};

// `enum bpf_prog_type` and `enum bpf_attach_type`, include/uapi/linux/bpf.h.
const CGROUP_SKB: u32 = 8;
const CGROUP_SOCK: u32 = 9;
const CGROUP_SOCK_ADDR: u32 = 18;

/// A program: its name, section, type, and where it is attached.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    section: &'static str,
    kind: u32,
    attach: u32,
}

/// All programs; `sock_create` first, which `support` tries alone.
pub(crate) const PLACES: [Place; 7] = [
    Place { name: "sock_create", section: "cgroup/sock_create", kind: CGROUP_SOCK, attach: 2 },
    Place { name: "connect4", section: "cgroup/connect4", kind: CGROUP_SOCK_ADDR, attach: 10 },
    Place { name: "connect6", section: "cgroup/connect6", kind: CGROUP_SOCK_ADDR, attach: 11 },
    Place { name: "sendmsg4", section: "cgroup/sendmsg4", kind: CGROUP_SOCK_ADDR, attach: 14 },
    Place { name: "sendmsg6", section: "cgroup/sendmsg6", kind: CGROUP_SOCK_ADDR, attach: 15 },
    Place { name: "egress", section: "cgroup_skb/egress", kind: CGROUP_SKB, attach: 1 },
    Place { name: "ingress", section: "cgroup_skb/ingress", kind: CGROUP_SKB, attach: 0 },
];

/// The maps of one filter, before any program uses them.
pub(crate) struct Maps {
    allowed: Map,
    settings: Map,
    events: Map,
    counters: Map,
    slots: u32,
    ring_size: u32,
}

impl Maps {
    pub(crate) fn create(object: &Object<'_>) -> Result<Self, Error> {
        let create = |name: &str| {
            let shape = object.map(name)?;
            Map::create(shape).map_err(|errno| Error::Map { name: name.to_owned(), errno })
        };
        Ok(Self {
            allowed: create("allowed")?,
            settings: create("settings")?,
            events: create("events")?,
            counters: create("counters")?,
            slots: object.map("counters")?.entries,
            ring_size: object.map("events")?.entries,
        })
    }

    fn descriptor(&self, name: &str) -> Option<i32> {
        let map = match name {
            "allowed" => &self.allowed,
            "settings" => &self.settings,
            "events" => &self.events,
            "counters" => &self.counters,
            _ => return None,
        };
        Some(map.descriptor().as_raw_fd())
    }
}

/// Loads one program. After a refusal it asks again for the verifier's reasons.
pub(crate) fn load(object: &Object<'_>, maps: &Maps, place: &Place) -> Result<OwnedFd, Error> {
    let code = object.program(place.section, |name| maps.descriptor(name))?;
    let license = object.license()?;
    let kind = (place.kind, place.attach);
    sys::load(place.name, kind, license, &code, None).map_err(|errno| {
        let mut log = vec![0; 1 << 16];
        drop(sys::load(place.name, kind, license, &code, Some(&mut log)));
        let text =
            String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        let last: Vec<_> = text.lines().rev().filter(|line| !line.is_empty()).take(3).collect();
        let log = last.into_iter().rev().fold(String::new(), |log, line| log + "\n  verifier: " + line);
        Error::Load { program: place.name, errno, log }
    })
}

/// How often what was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections and datagrams with an address that were let through.
    pub allowed: u64,
    /// Whatever was refused, at any hook, one that could not be recorded too.
    pub denied: u64,
    /// Refused because the ring buffer was full: there is no event of these.
    pub lost: u64,
    /// Of packets that left, from the IP header on; a large segment that the device cuts has one header.
    pub bytes_out: u64,
    /// Of packets that came in.
    pub bytes_in: u64,
    /// Allowed and denied at each hook; for [`Hook::Egress`] of packets, for [`Hook::SockCreate`] of sockets.
    pub hooks: BTreeMap<Hook, (u64, u64)>,
}

struct Attached {
    place: &'static Place,
    identity: Identity,
    /// Keeps the program, and detaches it when closed.
    _link: OwnedFd,
}

/// A filter on a cgroup. Dropping it detaches and frees everything.
pub struct Filter {
    /// First, so that it is dropped before the maps.
    programs: Vec<Attached>,
    cgroup: OwnedFd,
    ring: Ring,
    allowed: Map,
    settings: Map,
    counters: Map,
    slots: u32,
    list: BTreeMap<Key, u32>,
    report_allowed: bool,
}

/// The only key of `settings`.
const ONLY: [u8; 4] = [0; 4];

/// `struct settings`. Without a namespace its mask is empty, and every namespace is as good.
fn settings(namespace: Option<u64>, report_allowed: bool) -> [u8; 24] {
    let mut value = [0; 24];
    let mask = if namespace.is_some() { u64::MAX } else { 0 };
    let words = namespace.unwrap_or(0).to_ne_bytes().into_iter().chain(mask.to_ne_bytes());
    for (to, from) in value.iter_mut().zip(words.chain(u64::from(report_allowed).to_ne_bytes())) {
        *to = from;
    }
    value
}

fn access<T>(action: &'static str, name: &'static str, result: Result<T, Errno>) -> Result<T, Error> {
    result.map_err(|errno| Error::MapAccess { action, name, errno })
}

impl Filter {
    /// Attaches a filter to a cgroup (a directory of cgroup v2), where there must be no other. From then on processes
    /// in it, and below, reach what `allowed` names and nothing else, with sockets made after they came into it. The list
    /// cannot be changed any more. `report_allowed`: permissions are events too, not only denials.
    ///
    /// # Errors
    /// Any step that failed; nothing stays attached then.
    pub fn attach(cgroup: BorrowedFd<'_>, allowed: &[Allowed], report_allowed: bool) -> Result<Self, Error> {
        if allowed.len() > MOST {
            return Err(Error::TooManyRules(allowed.len()));
        }
        let mut list = BTreeMap::new();
        for (index, rule) in (0_u32..).zip(allowed) {
            // Of two equal rules the first is the one that events name.
            list.entry(rule.key()?).or_insert(index);
        }
        let object = Object::built_in()?;
        let maps = Maps::create(&object)?;
        for (key, index) in &list {
            access("write", "allowed", maps.allowed.set(key, &index.to_ne_bytes(), sys::NEW))?;
        }
        access("freeze", "allowed", maps.allowed.freeze())?;
        access("write", "settings", maps.settings.set(&ONLY, &settings(None, report_allowed), 0))?;

        let loaded = PLACES.iter().map(|place| Ok((place, load(&object, &maps, place)?)));
        let loaded = loaded.collect::<Result<Vec<_>, Error>>()?;
        let ring = access("map into memory", "events", Ring::new(maps.events, maps.ring_size))?;
        let mut programs = Vec::new();
        for (place, program) in loaded {
            let identity = sys::identity(program.as_fd())
                .map_err(|errno| Error::Query { program: place.name, errno })?;
            let link = sys::link(program.as_fd(), cgroup, place.attach)
                .map_err(|errno| Error::Attach { program: place.name, errno })?;
            programs.push(Attached { place, identity, _link: link });
        }
        let cgroup = cgroup.try_clone_to_owned().map_err(|error| Error::Query {
            program: "cgroup",
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        let Maps { allowed, settings, counters, slots, .. } = maps;
        let filter =
            Self { programs, cgroup, ring, allowed, settings, counters, slots, list, report_allowed };
        filter.verify()?;
        Ok(filter)
    }

    /// From now on only sockets of `socket`'s network namespace pass. Once only: the settings are frozen with it.
    ///
    /// # Errors
    /// The kernel does not tell the namespace (before 5.14), or the settings were frozen already.
    pub fn confine(&mut self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let namespace = sys::namespace_cookie(socket).map_err(Error::Namespace)?;
        let value = settings(Some(namespace), self.report_allowed);
        access("write", "settings", self.settings.set(&ONLY, &value, 0))?;
        access("freeze", "settings", self.settings.freeze())
    }

    /// Readable when there are events (poll(2)). A denial wakes its reader at once; permissions only when a quarter of
    /// the buffer, about 900, is unread: read them on a timer.
    #[must_use]
    pub fn ring(&self) -> BorrowedFd<'_> {
        self.ring.descriptor()
    }

    /// Gives every event that is there now to `each`, oldest first.
    ///
    /// # Errors
    /// [`Error::Ring`]: the buffer holds what the programs do not write. Events before it were given.
    pub fn events(&mut self, mut each: impl FnMut(Event)) -> Result<(), Error> {
        let mut strange = None;
        self.ring
            .drain::<SIZE>(|record| match Event::decode(record) {
                Ok(event) => each(event),
                Err(error) => strange = strange.take().or(Some(error)),
            })
            .map_err(Error::Ring)?;
        strange.map_or(Ok(()), Err)
    }

    /// The sums so far. What happens meanwhile may be in one of them and not yet in another.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counters(&self) -> Result<Counters, Error> {
        let mut sums = [0_u64; 16];
        for slot in 0..self.slots {
            let value = access("read", "counters", self.counters.get(&slot.to_ne_bytes()))?;
            for (sum, bytes) in sums.iter_mut().zip(value.as_chunks().0) {
                *sum = sum.wrapping_add(u64::from_ne_bytes(*bytes));
            }
        }
        // `struct counters`.
        let [a0, a1, a2, a3, a4, a5, d0, d1, d2, d3, d4, d5, lost, bytes_out, bytes_in, _] = sums;
        let (allowed, denied) = ([a0, a1, a2, a3, a4, a5], [d0, d1, d2, d3, d4, d5]);
        Ok(Counters {
            allowed: a0 + a1 + a2 + a3,
            denied: denied.iter().sum(),
            lost,
            bytes_out,
            bytes_in,
            hooks: Hook::ALL.into_iter().zip(allowed.into_iter().zip(denied)).collect(),
        })
    }

    /// Asks the kernel whether exactly these programs are attached to the cgroup, at each place, and run for it.
    ///
    /// # Errors
    /// [`Error::NotOurs`] when another is there, or ours is not.
    pub fn verify(&self) -> Result<(), Error> {
        for Attached { place, identity, .. } in &self.programs {
            let ask = |effective| {
                sys::attached(self.cgroup.as_fd(), place.attach, effective)
                    .map_err(|errno| Error::Query { program: place.name, errno })
            };
            let wrong = |found| Err(Error::NotOurs { program: place.name, found, own: identity.id });
            let found = ask(false)?;
            if found != [identity.id] {
                return wrong(found);
            }
            let effective = ask(true)?;
            if !effective.contains(&identity.id) {
                return wrong(effective);
            }
        }
        Ok(())
    }

    /// The evidence: what the kernel answers about programs and list, compared with what was put there.
    ///
    /// # Errors
    /// [`Error::NotOurs`] or [`Error::ListDiffers`] when they are not the same.
    pub fn read_back(&self) -> Result<BTreeMap<String, String>, Error> {
        self.verify()?;
        let mut evidence = BTreeMap::new();
        for Attached { place, identity: Identity { id, tag }, .. } in &self.programs {
            let tag = u64::from_be_bytes(*tag);
            evidence.insert(place.name.to_owned(), format!("program {id} tag {tag:016x}"));
        }
        let mut found = BTreeMap::new();
        let mut last: Option<Vec<u8>> = None;
        while let Some(key) = access("read", "allowed", self.allowed.next_key(last.as_deref()))? {
            let value = access("read", "allowed", self.allowed.get(&key))?;
            if found.insert(key.clone(), value).is_some() || found.len() > MOST {
                return Err(Error::ListDiffers("it does not end".to_owned()));
            }
            last = Some(key);
        }
        let same = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            Key::try_from(key.as_slice())
                .ok()
                .and_then(|key| self.list.get(&key))
                .map(|index| index.to_ne_bytes())
                == value.as_slice().try_into().ok()
        };
        if found.len() != self.list.len() || !found.iter().all(same) {
            return Err(Error::ListDiffers(format!("it has {} rules, of {}", found.len(), self.list.len())));
        }
        evidence.insert("rules".to_owned(), found.len().to_string());
        Ok(evidence)
    }
}
