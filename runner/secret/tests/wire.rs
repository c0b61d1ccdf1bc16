//! The way from the resolver to the gateway: what is sent arrives, and nothing else does.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::unix::net::UnixStream;

use agentrc_secret::wire::{Credential, receive, send};
use agentrc_secret::{Error, Placeholder, Secret};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn credential(name: &str, value: &[u8]) -> Credential {
    let secret = Secret::new(Zeroizing::new(value.to_vec())).unwrap();
    Credential { name: name.to_owned(), placeholder: Placeholder::of(&secret).unwrap(), secret }
}

fn sent(credentials: &[Credential]) -> Vec<u8> {
    let mut bytes = Vec::new();
    send(&mut bytes, credentials).unwrap();
    bytes
}

#[test]
fn what_is_sent_over_a_socket_arrives() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let credentials = [credential("GITHUB_TOKEN", b"ghp_canary-0123456789"), credential("b", &[0xff; 8192])];
    let reader = std::thread::spawn(move || receive(&mut other).unwrap());
    send(&mut one, &credentials).unwrap();
    drop(one);
    let received = reader.join().unwrap();
    assert_eq!(received.len(), 2);
    for (one, other) in credentials.iter().zip(&received) {
        assert_eq!((&one.name, &one.placeholder), (&other.name, &other.placeholder));
        assert_eq!(one.secret.expose(), other.secret.expose());
    }
    assert!(!format!("{received:?}").contains("canary"));
}

#[test]
fn no_credentials_are_a_list_too() {
    assert!(receive(&mut &sent(&[])[..]).unwrap().is_empty());
}

#[test]
fn what_is_cut_off_or_goes_on_is_refused() {
    let whole = sent(&[credential("a", b"0123456789"), credential("b", b"abcdefghij")]);
    for length in 0..whole.len() {
        assert!(matches!(receive(&mut &whole[..length]), Err(Error::Socket(_))), "{length}");
    }
    let more = [&whole[..], b"x"].concat();
    assert!(matches!(receive(&mut &more[..]), Err(Error::Wire(_))));
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let twice = sent(&[credential("a", b"0123456789"), credential("a", b"abcdefghij")]);
    assert!(matches!(receive(&mut &twice[..]), Err(Error::Wire(_))));
}

#[test]
fn a_value_that_no_header_holds_is_refused_on_arrival_too() {
    let mut bytes = sent(&[credential("a", b"0123456789")]);
    let last = bytes.len() - 1;
    bytes[last] = b'\n';
    assert!(matches!(receive(&mut &bytes[..]), Err(Error::Unprintable)));
}

proptest! {
    #[test]
    fn anything_else_is_an_error_and_no_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..200_usize, sign: u8,
    ) {
        prop_assert!(receive(&mut &bytes[..]).is_err());
        let mut whole = sent(&[credential("a", b"0123456789")]);
        let place = at % whole.len();
        whole[place] ^= sign;
        let _ = receive(&mut &whole[..]);
        bytes.splice(0..0, b"agentrc-cred-1\n".iter().copied());
        let _ = receive(&mut &bytes[..]);
    }
}
