//! How work comes to the zygote: one message of a seqpacket socket, the descriptors beside it.

use std::ffi::CString;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::Work;
use crate::prove::NAMESPACES;

/// Most bytes of one message: less than a socket holds (`net.core.wmem_default`), arguments and environment together.
const SIZE: usize = 128 << 10;
/// The namespaces, and the numbers of arguments and of variables.
const HEAD: usize = 8 * NAMESPACES + 8;

/// Sends it, with the agent's namespaces, which the tool's must not be.
pub(super) fn send(
    channel: BorrowedFd<'_>,
    work: &Work,
    namespaces: &[u64; NAMESPACES],
) -> Result<(), Errno> {
    let number = |list: &[CString]| u32::try_from(list.len()).map_err(|_| Errno::TOOBIG);
    let mut bytes: Vec<u8> = namespaces.iter().flat_map(|inode| inode.to_ne_bytes()).collect();
    bytes.extend(number(&work.argv)?.to_ne_bytes());
    bytes.extend(number(&work.environment)?.to_ne_bytes());
    for text in work.argv.iter().chain(&work.environment).chain([&work.directory]) {
        bytes.extend(text.as_bytes_with_nul());
    }
    if bytes.len() > SIZE {
        return Err(Errno::TOOBIG);
    }
    let [input, output, error] = work.streams.each_ref().map(AsFd::as_fd);
    let attached = [input, output, error, work.status.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&attached));
    let sent = sendmsg(channel, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

/// Work as it came, and the agent's namespaces.
pub(super) type Received = (Work, [u64; NAMESPACES]);

/// Receives in the zygote. `None`: the supervisor is gone.
pub(super) fn receive(channel: BorrowedFd<'_>) -> Result<Option<Received>, Errno> {
    let mut bytes = vec![0; SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(channel, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut attached = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            attached.extend(descriptors);
        }
    }
    let bytes = bytes.get(..received.bytes).unwrap_or_default();
    decode(bytes, attached).map(Some).ok_or(Errno::BADMSG)
}

fn decode(bytes: &[u8], attached: Vec<OwnedFd>) -> Option<Received> {
    let (head, texts) = bytes.split_at_checked(HEAD)?;
    let (inodes, numbers) = head.split_at_checked(8 * NAMESPACES)?;
    let mut namespaces = [0; NAMESPACES];
    for (to, from) in namespaces.iter_mut().zip(inodes.as_chunks::<8>().0) {
        *to = u64::from_ne_bytes(*from);
    }
    let [arguments, variables] = numbers.as_chunks::<4>().0 else { return None };
    let number = |bytes: &[u8; 4]| usize::try_from(u32::from_ne_bytes(*bytes)).ok();
    let (arguments, variables) = (number(arguments)?, number(variables)?);
    let mut texts =
        texts.split_inclusive(|byte| *byte == 0).map(|text| CString::from_vec_with_nul(text.to_vec()));
    let mut take = |count: usize| texts.by_ref().take(count).collect::<Result<Vec<_>, _>>().ok();
    let (argv, environment) = (take(arguments)?, take(variables)?);
    let [directory] = <[CString; 1]>::try_from(take(2)?).ok()?;
    if argv.is_empty() || argv.len() != arguments || environment.len() != variables {
        return None;
    }
    let [input, output, error, status] = <[OwnedFd; 4]>::try_from(attached).ok()?;
    Some((Work { argv, environment, directory, streams: [input, output, error], status }, namespaces))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(argv: &[&str], environment: &[&str]) -> Work {
        let strings = |list: &[&str]| list.iter().map(|text| CString::new(*text).unwrap()).collect();
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        Work {
            argv: strings(argv),
            environment: strings(environment),
            directory: c"/work".to_owned(),
            streams: [null(), null(), null()],
            status: null(),
        }
    }

    #[test]
    fn work_arrives_as_it_was_sent() {
        let (ours, theirs) = crate::channel::pair().unwrap();
        for (argv, environment) in
            [(&["/bin/true"][..], &[][..]), (&["/bin/echo", "", "a\nb", "ü"], &["A=1", "B=", ""])]
        {
            let sent = work(argv, environment);
            send(ours.as_fd(), &sent, &[7; NAMESPACES]).unwrap();
            let (received, namespaces) = receive(theirs.as_fd()).unwrap().unwrap();
            assert_eq!((&received.argv, &received.environment), (&sent.argv, &sent.environment));
            assert_eq!((received.directory, namespaces), (sent.directory, [7; NAMESPACES]));
        }
        drop(ours);
        assert!(receive(theirs.as_fd()).unwrap().is_none());
    }

    #[test]
    fn too_much_and_anything_else_is_no_work() {
        let (ours, theirs) = crate::channel::pair().unwrap();
        let long = "x".repeat(SIZE);
        let sent = send(ours.as_fd(), &work(&["/bin/true", &long], &[]), &[0; NAMESPACES]);
        assert_eq!(sent, Err(Errno::TOOBIG));
        rustix::io::write(&ours, &[0; 200]).unwrap();
        assert!(matches!(receive(theirs.as_fd()), Err(Errno::BADMSG)));
        let mut whole: Vec<u8> = [0; 8 * NAMESPACES].to_vec();
        whole.extend(1_u32.to_ne_bytes());
        whole.extend(0_u32.to_ne_bytes());
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let descriptors = || vec![null(), null(), null(), null()];
        let with = |texts: &[u8], attached| decode(&[&whole, texts].concat(), attached).is_some();
        assert!(with(b"/bin/true\0/\0", descriptors()), "control");
        assert!(!with(b"/bin/true\0/", descriptors()));
        assert!(!with(b"/bin/true\0", descriptors()));
        assert!(!with(b"/bin/true\0/\0more\0", descriptors()));
        assert!(!with(b"/bin/true\0/\0", vec![null()]));
    }
}
