//! The host's key pair, and the one thing that it signs: lines, preceded by a domain.
//!
//! One pair per state directory: `key.pkcs8` (mode 0600, made once, atomically) and `audit-key.pub`, one line
//! `ed25519 HEX`, made to be copied elsewhere. For OpenSSL: `302a300506032b6570032100` followed by the hexadecimal digits is the
//! key's SubjectPublicKeyInfo.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::error::Error;
use crate::folder::{Durable, Folder};
use crate::line::{Digest, hex, unhex};

/// Name of the private key's file in the state directory.
pub const KEY_FILE: &str = "key.pkcs8";
/// Name of the public key's file in the state directory.
pub const PUBLIC_KEY_FILE: &str = "audit-key.pub";

/// The private key. It has no `Debug`: nothing can format it.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// A new pair, and its PKCS #8 form.
    ///
    /// # Errors
    /// [`Error::Generate`].
    pub fn generate() -> Result<(Self, Vec<u8>), Error> {
        let document = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
            .map_err(|error| Error::Generate(error.to_string()))?;
        let key = Self::from_pkcs8(document.as_ref()).map_err(Error::Generate)?;
        Ok((key, document.as_ref().to_vec()))
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|error| error.to_string())?;
        let public = pair.public_key().as_ref().try_into().map(PublicKey);
        Ok(Self { pair, public: public.map_err(|_| "public key of another length".to_owned())? })
    }

    /// The pair of this state directory, made when there is none. Two processes that make it at the same time get the same.
    ///
    /// # Errors
    /// A key file that is damaged, or that others may read; a public key beside it that is another one.
    pub fn load_or_create(state: &Folder) -> Result<Self, Error> {
        let key = match Self::load(state)? {
            Some(key) => key,
            None => {
                let (key, document) = Self::generate()?;
                if state.create_once(KEY_FILE, &document, Durable::Yes)? {
                    key
                } else {
                    let vanished = std::io::Error::from(std::io::ErrorKind::NotFound);
                    let gone = || Error::Read { path: state.path_of(KEY_FILE), source: vanished };
                    Self::load(state)?.ok_or_else(gone)?
                }
            }
        };
        match PublicKey::load(state)? {
            Some(public) if public == key.public => {}
            Some(_) => {
                return Err(Error::PublicKey {
                    path: state.path_of(PUBLIC_KEY_FILE),
                    why: format!("is not the public key of `{KEY_FILE}`"),
                    help: "keep it to verify older logs, under another name; it is then made anew".to_owned(),
                });
            }
            None => {
                state.create_once(PUBLIC_KEY_FILE, key.public.to_string().as_bytes(), Durable::Yes)?;
            }
        }
        Ok(key)
    }

    fn load(state: &Folder) -> Result<Option<Self>, Error> {
        let Some(bytes) = state.read(KEY_FILE, 4096)? else { return Ok(None) };
        let damaged = |why| Error::Key { path: state.path_of(KEY_FILE), why };
        Self::from_pkcs8(&bytes).map(Some).map_err(damaged)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `domain` followed by `bytes`; hexadecimal.
    #[must_use]
    pub fn sign(&self, domain: &[u8], bytes: &[u8]) -> String {
        hex(self.pair.sign(&[domain, bytes].concat()).as_ref())
    }
}

/// The public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "ed25519 {}", hex(&self.0))
    }
}

impl PublicKey {
    /// The key in the text of an `audit-key.pub`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text.strip_prefix("ed25519 ")?.trim_end_matches('\n')).map(Self)
    }

    /// The key of this state directory; `None` when none was made yet.
    ///
    /// # Errors
    /// A file that is not a public key, or not this user's alone.
    pub fn load(state: &Folder) -> Result<Option<Self>, Error> {
        let Some(bytes) = state.read(PUBLIC_KEY_FILE, 4096)? else { return Ok(None) };
        let key = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
        key.map(Some).ok_or_else(|| Error::PublicKey {
            path: state.path_of(PUBLIC_KEY_FILE),
            why: "is not a line `ed25519 HEX`".to_owned(),
            help: format!("remove it: it is made anew from `{KEY_FILE}`"),
        })
    }

    /// Names the key in logs: the first 16 bytes of its SHA-256, hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        Digest::of(&self.0).to_string().chars().take(32).collect()
    }

    /// Whether `signature` (hexadecimal) was made over `domain` and `bytes` with this key.
    #[must_use]
    pub fn verifies(&self, domain: &[u8], bytes: &[u8], signature: &str) -> bool {
        unhex::<64>(signature).is_some_and(|signature| {
            UnparsedPublicKey::new(&ED25519, &self.0).verify(&[domain, bytes].concat(), &signature).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn the_key_is_made_once_and_found_again() {
        let (dir, state) = state();
        let first = SigningKey::load_or_create(&state).unwrap();
        let second = SigningKey::load_or_create(&state).unwrap();
        assert_eq!(first.public(), second.public());
        assert_eq!(PublicKey::load(&state).unwrap(), Some(first.public()));
        let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(second.public().verifies(b"d", b"x", &first.sign(b"d", b"x")));
        assert!(!second.public().verifies(b"e", b"x", &first.sign(b"d", b"x")));
    }

    #[test]
    fn many_that_make_the_key_at_once_get_the_same() {
        let (_dir, state) = state();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| SigningKey::load_or_create(&state).unwrap().public()))
                .collect();
            made.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let (dir, state) = state();
        SigningKey::load_or_create(&state).unwrap();
        std::fs::set_permissions(dir.path().join(KEY_FILE), PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(SigningKey::load_or_create(&state), Err(Error::Unsuitable { .. })));
    }

    #[test]
    fn a_damaged_key_is_refused_and_never_made_anew() {
        let (_dir, state) = state();
        SigningKey::load_or_create(&state).unwrap();
        for bytes in [&b""[..], b"nonsense"] {
            state.replace(KEY_FILE, bytes, Durable::No).unwrap();
            assert!(matches!(SigningKey::load_or_create(&state), Err(Error::Key { .. })));
        }
    }

    #[test]
    fn a_public_key_of_another_pair_is_refused() {
        let (_dir, state) = state();
        SigningKey::load_or_create(&state).unwrap();
        let other = SigningKey::generate().unwrap().0.public().to_string();
        state.replace(PUBLIC_KEY_FILE, other.as_bytes(), Durable::No).unwrap();
        assert!(matches!(SigningKey::load_or_create(&state), Err(Error::PublicKey { .. })));
        state.replace(PUBLIC_KEY_FILE, b"rsa 00", Durable::No).unwrap();
        assert!(matches!(SigningKey::load_or_create(&state), Err(Error::PublicKey { .. })));
    }
}
