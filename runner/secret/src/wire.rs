//! How the resolver hands credentials to the gateway: over a socket that nobody else has, once, and then it ends.
//!
//! ```text
//! "agentrc-cred-1\n"  count: u16  ( name: u16 + bytes  placeholder: u16 + bytes  value: u16 + bytes )*  end of file
//! ```
//!
//! Numbers are big-endian. What follows the last credential, or is missing before it, makes the whole a refusal.

use std::io::{Read, Write};

use zeroize::Zeroizing;

use crate::placeholder::LONGEST_PLACEHOLDER;
use crate::value::LONGEST;
use crate::{Error, Placeholder, Secret};

const MAGIC: &[u8] = b"agentrc-cred-1\n";
/// The most credentials of a run.
pub const MOST: usize = 256;
const LONGEST_NAME: usize = 255;

/// One credential, resolved. Where it may go stands in the plan, under the same name.
#[derive(Debug)]
pub struct Credential {
    /// As in the plan.
    pub name: String,
    /// What stands for the value inside, and in what is shown of answers.
    pub placeholder: Placeholder,
    /// What goes out.
    pub secret: Secret,
}

/// Sends all credentials of a run. The values are written from where they lie.
///
/// # Errors
/// [`Error::Socket`]; [`Error::Wire`] if there are more than [`MOST`], or a name is longer than 255 bytes.
pub fn send(to: &mut impl Write, credentials: &[Credential]) -> Result<(), Error> {
    if credentials.len() > MOST {
        return Err(Error::Wire("too many credentials"));
    }
    to.write_all(MAGIC)?;
    to.write_all(&length(credentials.len())?)?;
    for credential in credentials {
        if credential.name.len() > LONGEST_NAME {
            return Err(Error::Wire("a name is too long"));
        }
        let fields = [
            credential.name.as_bytes(),
            credential.placeholder.as_str().as_bytes(),
            credential.secret.expose(),
        ];
        for field in fields {
            to.write_all(&length(field.len())?)?;
            to.write_all(field)?;
        }
    }
    Ok(to.flush()?)
}

/// Receives all credentials of a run, up to the end of file.
///
/// # Errors
/// [`Error::Socket`], also when it ends too early; [`Error::Wire`] for whatever [`send`] does not write, a name twice, and
/// a placeholder twice; [`Error::Short`], [`Error::Long`] and [`Error::Unprintable`] for a value that is none.
pub fn receive(from: &mut impl Read) -> Result<Vec<Credential>, Error> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(Error::Wire("it begins with something else"));
    }
    let count = number(from)?;
    if count > MOST {
        return Err(Error::Wire("too many credentials"));
    }
    let mut credentials: Vec<Credential> = Vec::with_capacity(count);
    for _ in 0..count {
        let name = text(from, LONGEST_NAME)?;
        let placeholder = Placeholder::parse(&text(from, LONGEST_PLACEHOLDER)?)?;
        let secret = Secret::new(field(from, LONGEST)?)?;
        if name.is_empty() {
            return Err(Error::Wire("a name is empty"));
        }
        if credentials.iter().any(|other| other.name == name || other.placeholder == placeholder) {
            return Err(Error::Wire("a name or a placeholder comes twice"));
        }
        credentials.push(Credential { name, placeholder, secret });
    }
    match from.read(&mut [0])? {
        0 => Ok(credentials),
        _ => Err(Error::Wire("something follows the last credential")),
    }
}

fn length(length: usize) -> Result<[u8; 2], Error> {
    u16::try_from(length).map(u16::to_be_bytes).map_err(|_| Error::Wire("a field is too long"))
}

fn number(from: &mut impl Read) -> Result<usize, Error> {
    let mut number = [0; 2];
    from.read_exact(&mut number)?;
    Ok(usize::from(u16::from_be_bytes(number)))
}

/// One field, in a buffer that never grows and is wiped.
fn field(from: &mut impl Read, longest: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let length = number(from)?;
    if length > longest {
        return Err(Error::Wire("a field is too long"));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(from: &mut impl Read, longest: usize) -> Result<String, Error> {
    let bytes = field(from, longest)?;
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| Error::Wire("a name is not UTF-8"))
}
