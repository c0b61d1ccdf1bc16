//! The committed `egress.bpf.o`, taken apart: maps, programs, and the places in the programs where a map's descriptor
//! goes. Knows exactly the shape that `ebpf/build` gives the object; anything else is refused.

use object::read::elf::ElfFile64;
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationFlags, RelocationTarget,
};

use crate::error::Error;

static BYTES: &[u8] = include_bytes!("../egress.bpf.o");
/// Bytes of an instruction.
const INSTRUCTION: usize = 8;
/// `LD_IMM64`: two instructions, of which the first has the lower half of the value.
const LOAD_64: u8 = 0x18;
/// Source register `BPF_PSEUDO_MAP_FD`, in the upper half of the byte of registers: the value is a map's descriptor.
const MAP_DESCRIPTOR: u8 = 1 << 4;

/// `struct map` in `bpf.h`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MapShape {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) key: u32,
    pub(crate) value: u32,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
    /// Where it lies in its section: what relocations name.
    offset: u64,
}

/// The object.
pub(crate) struct Object<'data> {
    file: ElfFile64<'data, Endianness>,
    maps: Vec<MapShape>,
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::Object(what.to_string())
}

impl Object<'static> {
    /// The one that this crate was built with.
    pub(crate) fn built_in() -> Result<Self, Error> {
        Self::parse(BYTES)
    }
}

impl<'data> Object<'data> {
    fn parse(bytes: &'data [u8]) -> Result<Self, Error> {
        let file = ElfFile64::parse(bytes).map_err(malformed)?;
        if file.architecture() != object::Architecture::Bpf || !file.is_little_endian() {
            return Err(malformed("it is not little-endian BPF"));
        }
        let section = file.section_by_name("maps").ok_or_else(|| malformed("no section `maps`"))?;
        let data = section.data().map_err(malformed)?;
        let mut maps = Vec::new();
        for symbol in file.symbols().filter(|symbol| symbol.section_index() == Some(section.index())) {
            let name = symbol.name().map_err(malformed)?.to_owned();
            // The section's own symbol has no name.
            if name.is_empty() {
                continue;
            }
            let word = |index: u64| {
                let start = usize::try_from(symbol.address().checked_add(4 * index)?).ok()?;
                Some(u32::from_le_bytes(*data.get(start..)?.first_chunk()?))
            };
            let shape = || {
                Some(MapShape {
                    name: name.clone(),
                    kind: word(0)?,
                    key: word(1)?,
                    value: word(2)?,
                    entries: word(3)?,
                    flags: word(4)?,
                    offset: symbol.address(),
                })
            };
            maps.push(shape().ok_or_else(|| malformed(format_args!("the map `{name}` is cut off")))?);
        }
        Ok(Self { file, maps })
    }

    /// The map of that name.
    pub(crate) fn map(&self, name: &str) -> Result<&MapShape, Error> {
        self.maps
            .iter()
            .find(|map| map.name == name)
            .ok_or_else(|| malformed(format_args!("no map `{name}`")))
    }

    /// The licence that the programs name, with its zero byte.
    pub(crate) fn license(&self) -> Result<&'data [u8], Error> {
        let section =
            self.file.section_by_name("license").ok_or_else(|| malformed("no section `license`"))?;
        let data = section.data().map_err(malformed)?;
        if data.last() != Some(&0) {
            return Err(malformed("the licence does not end"));
        }
        Ok(data)
    }

    /// The instructions of a section, with the descriptors that `descriptor` gives for a map's name.
    pub(crate) fn program(
        &self,
        section: &str,
        descriptor: impl Fn(&str) -> Option<i32>,
    ) -> Result<Vec<u8>, Error> {
        let found = self.file.section_by_name(section);
        let found = found.ok_or_else(|| malformed(format_args!("no section `{section}`")))?;
        let mut code = found.data().map_err(malformed)?.to_vec();
        for (offset, relocation) in found.relocations() {
            let wrong = |what| malformed(format_args!("`{section}` at {offset}: {what}"));
            let (RelocationTarget::Symbol(target), RelocationFlags::Elf { r_type: object::elf::R_BPF_64_64 }) =
                (relocation.target(), relocation.flags())
            else {
                return Err(wrong("a relocation that is not a map's"));
            };
            let symbol = self.file.symbol_by_index(target).map_err(malformed)?;
            let in_maps =
                symbol.section_index() == self.file.section_by_name("maps").map(|maps| maps.index());
            let map = self.maps.iter().find(|map| in_maps && map.offset == symbol.address());
            let map = map.ok_or_else(|| wrong("a relocation to something that is no map"))?;
            let descriptor = descriptor(&map.name).ok_or_else(|| wrong("a map that was not made"))?;
            let place = usize::try_from(offset).ok().and_then(|start| code.get_mut(start..));
            let Some([operation, registers, _, _, value @ ..]) =
                place.and_then(|place| place.first_chunk_mut::<INSTRUCTION>())
            else {
                return Err(wrong("a relocation outside of the program"));
            };
            if *operation != LOAD_64 {
                return Err(wrong("a relocation of something that loads no map"));
            }
            *registers |= MAP_DESCRIPTOR;
            *value = descriptor.to_le_bytes();
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_object_has_the_maps_and_programs_that_the_loader_expects() {
        let object = Object::built_in().unwrap();
        for (name, key, value) in
            [("allowed", 24, 4), ("settings", 4, 24), ("events", 0, 0), ("counters", 4, 128)]
        {
            let map = object.map(name).unwrap();
            assert_eq!((map.key, map.value), (key, value), "{name}");
        }
        assert_eq!(object.maps.len(), 4);
        assert_eq!(object.license().unwrap(), b"Apache-2.0\0");
        let code = object.program("cgroup/connect4", |_| Some(0x1234_5678)).unwrap();
        let patched =
            code.chunks(8).filter(|chunk| chunk[0] == LOAD_64 && chunk[4..] == [0x78, 0x56, 0x34, 0x12]);
        assert_eq!(patched.filter(|chunk| chunk[1] >> 4 == 1).count(), 6);
        assert!(object.program("cgroup/connect4", |_| None).is_err());
        assert!(object.program("cgroup/bind4", |_| Some(1)).is_err());
    }

    #[test]
    fn a_damaged_object_is_refused_and_never_read_beyond_its_end() {
        for end in (0..BYTES.len()).step_by(97) {
            let Ok(object) = Object::parse(&BYTES[..end]) else { continue };
            drop(object.program("cgroup/connect4", |_| Some(1)));
        }
        for at in 0..BYTES.len().min(4096) {
            let mut bytes = BYTES.to_vec();
            bytes[at] ^= 0xff;
            let Ok(object) = Object::parse(&bytes) else { continue };
            drop(object.program("cgroup/connect4", |_| Some(1)));
        }
        assert!(Object::parse(b"").is_err());
    }
}
