//! Texts of the broker's, searched for values: what a tool says must not tell the agent what it only holds placeholders for, and the values
//! are nowhere else. It is the redaction that a response's body has ([`Guard::redactor`]), for all credentials of the run.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use agentrc_service::texts;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::credential::Guard;
use crate::gateway::no_sense;

/// Serves the connection that is attached, beside everything else.
///
/// # Errors
/// There is none, or there are no credentials.
pub(crate) fn open(guard: Option<&Rc<Guard>>, attached: Vec<OwnedFd>) -> io::Result<()> {
    let (Ok([stream]), Some(guard)) = (<[OwnedFd; 1]>::try_from(attached), guard) else {
        return Err(no_sense());
    };
    let stream = std::os::unix::net::UnixStream::from(stream);
    stream.set_nonblocking(true)?;
    let (from, to) = UnixStream::from_std(stream)?.into_split();
    // When it ends, so does the connection: the broker then has nothing that it could give.
    let served = serve(Rc::clone(guard), from, to);
    tokio::task::spawn_local(async move { drop(served.await) });
    Ok(())
}

/// Answers each text with what it is without values, in order, until the broker is gone.
///
/// # Errors
/// What came is no text, or the broker is gone in the middle of one.
async fn serve(
    guard: Rc<Guard>,
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut from = BufReader::with_capacity(texts::LONGEST, from);
    let mut redactor = guard.redactor();
    let (mut chunk, mut clean, mut out) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let more = texts::next(&mut from, &mut chunk).await?;
        clean.clear();
        if more {
            redactor.push(&chunk, &mut clean);
        } else {
            redactor.finish(&mut clean);
        }
        texts::part(&clean, &mut out);
        if !more {
            texts::end(&mut out);
            redactor = guard.redactor();
        }
        // All of an answer in few writes; others have their turn after each.
        if out.len() >= texts::LONGEST || from.buffer().is_empty() {
            to.write_all(&out).await?;
            out.clear();
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use agentrc_secret::{Placeholder, Secret};
    use tokio::io::AsyncReadExt;
    use zeroize::Zeroizing;

    use super::*;
    use crate::credential::{Bound, Way};

    const VALUE: &str = "sk-value-of-the-run-0123456789";

    fn guard() -> (Rc<Guard>, String) {
        let secret = Secret::new(Zeroizing::new(VALUE.as_bytes().to_vec())).unwrap();
        let placeholder = Placeholder::of(&secret).unwrap();
        let stands = placeholder.as_str().to_owned();
        let hosts = vec!["api.example.com".to_owned()];
        let bound = Bound { name: "TOKEN".to_owned(), placeholder, secret, hosts, way: Way::Header };
        (Rc::new(Guard::new(vec![bound]).unwrap()), stands)
    }

    /// What comes back for these bytes, and how it ended.
    fn answered(guard: Rc<Guard>, asked: &[u8]) -> (Vec<u8>, io::Result<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = tokio::io::duplex(1000);
            let (from, to) = tokio::io::split(theirs);
            let (mut back, mut there) = tokio::io::split(ours);
            let mut answer = Vec::new();
            let ask = async {
                there.write_all(asked).await.unwrap();
                there.shutdown().await.unwrap();
            };
            let (ended, (), _) = tokio::join!(serve(guard, from, to), ask, back.read_to_end(&mut answer));
            (answer, ended)
        })
    }

    fn framed(texts: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in texts {
            texts::part(text.as_bytes(), &mut bytes);
            texts::end(&mut bytes);
        }
        bytes
    }

    #[test]
    fn each_text_comes_back_without_values_and_no_text_runs_into_the_next() {
        let (guard, stands) = guard();
        let (front, rest) = VALUE.split_at(10);
        let long = "x".repeat(texts::LONGEST - 5);
        let asked = [
            format!("a {VALUE} b"),
            String::new(),
            front.to_owned(),
            rest.to_owned(),
            format!("{long}{VALUE}{long}"),
            "nothing".to_owned(),
        ];
        let mut wanted = asked.clone();
        wanted[0] = format!("a {stands} b");
        wanted[4] = format!("{long}{stands}{long}");
        let (answer, ended) = answered(guard, &framed(&asked));
        // How it is cut into chunks is nobody's business.
        let joined = |mut bytes: &[u8]| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut texts, mut text, mut chunk) = (Vec::new(), Vec::new(), Vec::new());
                while !bytes.is_empty() {
                    if texts::next(&mut bytes, &mut chunk).await.unwrap() {
                        text.append(&mut chunk);
                    } else {
                        texts.push(String::from_utf8(std::mem::take(&mut text)).unwrap());
                    }
                }
                texts
            })
        };
        assert_eq!(joined(&answer), wanted);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn nonsense_ends_it_and_nothing_of_it_comes_back() {
        for asked in [&[0xff; 4][..], &[1, 0, 1, 0, b'x'], &[9, 0, 0, 0, b'x'], &[7]] {
            let (answer, ended) = answered(guard().0, asked);
            assert!(ended.is_err() && answer.is_empty(), "{asked:?}: {answer:?}");
        }
    }
}
