//! The resolver inside the sandbox: declared names have the addresses that stand for them, everything else does not exist.
//! No question is ever passed on, so that none carries anything out.
//!
//! RFC 1035, RFC 6891 (EDNS), RFC 2308 (negative answers), RFC 9460 (HTTPS and SVCB: no such records, and so no keys
//! for Encrypted ClientHello).

use simple_dns::rdata::{A, AAAA, OPT, RData};
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use crate::names::{Meaning, Names};

/// Seconds for which a client may keep an answer. An address stands for its name as long as the run lasts.
const TTL: u32 = 300;
/// The largest answer over UDP that we are ready to take or give (<https://www.dnsflagday.net/2020/>); ours have about 100 bytes.
const PAYLOAD: u16 = 1232;
/// Longest query that is read at all.
pub const LONGEST: usize = 4096;

/// What was asked, and what became of it, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A declared name.
    Answered(String),
    /// A name that is not declared.
    Denied(String),
    /// A name below a wildcard, after too many others.
    TooMany(String),
    /// A query of a kind that is not served.
    NotServed,
}

/// The answer to one query. `None`: it is not a query, and is dropped.
#[must_use]
pub fn answer(query: &[u8], names: &mut Names) -> Option<(Vec<u8>, Asked)> {
    if query.len() > LONGEST {
        return None;
    }
    let query = Packet::parse(query).ok()?;
    // An answer to an answer would be a loop.
    if query.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let mut reply = Packet::new_reply(query.id());
    *reply.opcode_mut() = query.opcode();
    if query.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if let Some(opt) = query.opt() {
        *reply.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: PAYLOAD, version: 0 });
        if opt.version != 0 {
            *reply.rcode_mut() = RCODE::BADVERS;
            return Some((reply.build_bytes_vec().ok()?, Asked::NotServed));
        }
    }
    if query.opcode() != OPCODE::StandardQuery {
        *reply.rcode_mut() = RCODE::NotImplemented;
        return Some((reply.build_bytes_vec().ok()?, Asked::NotServed));
    }
    let [question] = query.questions.as_slice() else {
        *reply.rcode_mut() = RCODE::FormatError;
        return Some((reply.build_bytes_vec().ok()?, Asked::NotServed));
    };
    reply.questions.push(question.clone());
    let asked = match question.qclass {
        QCLASS::CLASS(CLASS::IN) => judge(question.qtype, &question.qname, &mut reply, names),
        _ => {
            *reply.rcode_mut() = RCODE::Refused;
            Asked::NotServed
        }
    };
    Some((reply.build_bytes_vec().ok()?, asked))
}

fn judge<'a>(kind: QTYPE, asked: &simple_dns::Name<'a>, reply: &mut Packet<'a>, names: &mut Names) -> Asked {
    let Some(name) = plain(asked) else {
        *reply.rcode_mut() = RCODE::NameError;
        return Asked::Denied(asked.to_string());
    };
    let addresses = match names.meaning(&name) {
        Meaning::Host(addresses) => addresses,
        Meaning::Unknown => {
            *reply.rcode_mut() = RCODE::NameError;
            return Asked::Denied(name);
        }
        Meaning::TooMany => {
            *reply.rcode_mut() = RCODE::NameError;
            return Asked::TooMany(name);
        }
    };
    // Any other kind of record: the name exists, and has none.
    let data = match kind {
        QTYPE::TYPE(TYPE::A) => Some(RData::A(A { address: addresses.v4.to_bits() })),
        QTYPE::TYPE(TYPE::AAAA) if names.has_six() => {
            Some(RData::AAAA(AAAA { address: addresses.v6.to_bits() }))
        }
        _ => None,
    };
    reply.answers.extend(data.map(|data| ResourceRecord::new(asked.clone(), CLASS::IN, TTL, data)));
    Asked::Answered(name)
}

/// A name in lower case, if it is all of letters, digits, hyphens and underscores.
fn plain(name: &simple_dns::Name<'_>) -> Option<String> {
    let mut plain = String::new();
    for label in name.as_bytes() {
        if !plain.is_empty() {
            plain.push('.');
        }
        let label = std::str::from_utf8(label).ok()?;
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return None;
        }
        plain.push_str(&label.to_ascii_lowercase());
    }
    Some(plain)
}
