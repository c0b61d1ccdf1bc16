//! What is given to the agent, searched for values of credentials. The broker has none: the gateway, which alone does, is sent each text
//! and sends it back with placeholders where values were. What could not be searched is not given.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use agentrc_secret::SHORTEST;
use agentrc_service::texts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::call::Broker;
use crate::outcome::Outcome;

/// How long the gateway may take for the texts of one call.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much longer than its texts its answer may be: what stands for a value is of its shape, and seldom longer.
const LONGER: usize = 16;
/// The verdict on record, and its reason.
const VERDICT: &str = "redacted";
/// Why nothing can be searched once something was wrong.
const LOST: &str = "the gateway did not answer an earlier call";
const FOUND: &str = "its output held values of credentials, and placeholders were given for them";

/// The way to the gateway; nothing once something was wrong with it.
pub(crate) struct Search(Rc<Mutex<Option<UnixStream>>>);

/// Why there is nothing to give.
#[derive(Debug)]
struct Unsearched(String);

impl fmt::Display for Unsearched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "its output could not be searched for credentials: {}", self.0)
    }
}

impl Search {
    /// Through this socket.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn through(socket: OwnedFd) -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(Self(Rc::new(Mutex::new(Some(UnixStream::from_std(stream)?)))))
    }

    /// Whether nothing that a call gives could be searched: then it is not to be performed.
    ///
    /// # Errors
    /// Why.
    pub(crate) fn is_there(&self) -> Result<(), String> {
        // While it is used, it is there.
        let lost = self.0.try_lock().is_ok_and(|way| way.is_none());
        if lost { Err(Unsearched(LOST.to_owned()).to_string()) } else { Ok(()) }
    }

    /// The same texts without values.
    async fn texts(&self, texts: Vec<String>) -> Result<Vec<String>, Unsearched> {
        if texts.is_empty() {
            return Ok(texts);
        }
        let way = Rc::clone(&self.0);
        // In a task of its own: whoever waits may stop at any moment, and the next one's answer must not be this one's.
        let asked = tokio::task::spawn_local(async move {
            let mut way = way.lock().await;
            let Some(mut stream) = way.take() else {
                return Err(LOST.to_owned());
            };
            match tokio::time::timeout(PATIENCE, exchange(&mut stream, &texts)).await {
                Ok(Ok(clean)) => {
                    *way = Some(stream);
                    Ok(clean)
                }
                Ok(Err(error)) => Err(format!("the gateway: {error}")),
                Err(_) => Err(format!("the gateway took more than {} s", PATIENCE.as_secs())),
            }
        });
        asked.await.map_err(|error| Unsearched(error.to_string()))?.map_err(Unsearched)
    }

    /// The same value without values of credentials, and whether there were any. A number that is one becomes a text.
    async fn value(&self, mut value: Value) -> Result<(Value, bool), Unsearched> {
        let mut before = Vec::new();
        collect(&value, &mut before);
        let after = self.texts(before.clone()).await?;
        if after == before {
            return Ok((value, false));
        }
        put_back(&mut value, &mut after.into_iter());
        Ok((value, true))
    }

    /// Whether there is a value in it.
    ///
    /// # Errors
    /// It could not be searched.
    pub(crate) async fn holds_a_value(&self, given: Value) -> Result<bool, String> {
        self.value(given).await.map(|(_, found)| found).map_err(|unsearched| unsearched.to_string())
    }

    async fn text(&self, text: String) -> Result<(String, bool), Unsearched> {
        let clean = self.texts(vec![text.clone()]).await?.pop().unwrap_or_default();
        let found = clean != text;
        Ok((clean, found))
    }

    async fn outcome(&self, outcome: Outcome) -> Result<(Outcome, bool), Unsearched> {
        Ok(match outcome {
            Outcome::Value(value) => {
                self.value(value).await.map(|(clean, found)| (Outcome::Value(clean), found))?
            }
            Outcome::Text(text) => {
                self.text(text).await.map(|(clean, found)| (Outcome::Text(clean), found))?
            }
            Outcome::Error(why) => {
                self.text(why).await.map(|(clean, found)| (Outcome::Error(clean), found))?
            }
            Outcome::Refused(why) => {
                self.text(why).await.map(|(clean, found)| (Outcome::Refused(clean), found))?
            }
            Outcome::Content(content, value) => {
                let ((content, value), found) = self.serialized((content, value)).await?;
                (Outcome::Content(content, value), found)
            }
        })
    }

    /// The same of what is JSON when it is written.
    async fn serialized<T: Serialize + DeserializeOwned>(&self, given: T) -> Result<(T, bool), Unsearched> {
        let failed = |error: serde_json::Error| Unsearched(error.to_string());
        let (clean, found) = self.value(serde_json::to_value(&given).map_err(failed)?).await?;
        // What has nothing in it stays what it is.
        Ok(if found { (serde_json::from_value(clean).map_err(failed)?, true) } else { (given, false) })
    }
}

impl Broker {
    /// What `act` came to, as the agent may have it.
    pub(crate) async fn searched(&self, outcome: Outcome, act: &str, pid: i32) -> Outcome {
        let Some(search) = &self.search else { return outcome };
        match search.outcome(outcome).await {
            Err(unsearched) => Outcome::Error(unsearched.to_string()),
            Ok((outcome, false)) => outcome,
            Ok((outcome, true)) => {
                self.found(act, pid).await;
                let most = self.limits.output();
                match outcome.bytes() {
                    Ok(bytes) if bytes.len() <= most => outcome,
                    Ok(_) => Outcome::Error(format!("the result has more than {most} bytes: ask for less")),
                    Err(why) => Outcome::Error(why),
                }
            }
        }
    }

    /// The same of what is not a call's.
    ///
    /// # Errors
    /// What was given is none, or could not be searched.
    pub(crate) async fn searched_too<T: Serialize + DeserializeOwned>(
        &self,
        given: Result<T, String>,
        act: &str,
        pid: i32,
    ) -> Result<T, String> {
        let Some(search) = &self.search else { return given };
        let (given, found) = match given {
            Ok(given) => search.serialized(given).await.map(|(clean, found)| (Ok(clean), found)),
            Err(why) => search.text(why).await.map(|(clean, found)| (Err(clean), found)),
        }
        .map_err(|unsearched| unsearched.to_string())?;
        if found {
            self.found(act, pid).await;
        }
        given
    }

    async fn found(&self, act: &str, pid: i32) {
        self.reporter.denied(act, VERDICT, FOUND, "", pid).await;
    }
}

/// Sends all, and receives as many, at the same time: neither side holds what the other has not read.
async fn exchange(stream: &mut UnixStream, texts: &[String]) -> io::Result<Vec<String>> {
    let mut asked = Vec::new();
    for text in texts {
        texts::part(text.as_bytes(), &mut asked);
        texts::end(&mut asked);
    }
    let most = asked.len().saturating_mul(LONGER).saturating_add(texts::LONGEST);
    let (from, mut to) = stream.split();
    let answer = async {
        let nonsense = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut from = BufReader::with_capacity(texts::LONGEST, from);
        let (mut chunk, mut bytes, mut answer) = (Vec::new(), 0_usize, Vec::with_capacity(texts.len()));
        for _ in texts {
            let mut text = Vec::new();
            while texts::next(&mut from, &mut chunk).await? {
                bytes = bytes.saturating_add(chunk.len());
                if bytes > most {
                    return Err(nonsense("its answer is too long"));
                }
                text.extend_from_slice(&chunk);
            }
            answer.push(String::from_utf8(text).map_err(|_| nonsense("its answer is no text"))?);
        }
        if from.buffer().is_empty() {
            Ok(answer)
        } else {
            Err(nonsense("it answered more than it was asked"))
        }
    };
    let ((), answer) = tokio::try_join!(to.write_all(&asked), answer)?;
    Ok(answer)
}

/// Whether a text is long enough for a value, in any form: none is shorter than the value itself.
fn has_room(text: &str) -> bool {
    text.len() >= SHORTEST
}

/// All texts of a value: its strings, the names of its members, and its numbers, in order.
fn collect(value: &Value, texts: &mut Vec<String>) {
    let mut add = |text: &str| texts.extend(has_room(text).then(|| text.to_owned()));
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => add(&number.to_string()),
        Value::String(text) => add(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(members) => {
            for (name, value) in members {
                texts.extend(has_room(name).then(|| name.clone()));
                collect(value, texts);
            }
        }
    }
}

/// Puts them back, in the same order.
fn put_back(value: &mut Value, texts: &mut impl Iterator<Item = String>) {
    // INVARIANT: there are as many as `collect` found; without one, nothing would be there.
    let mut next =
        |text: &str| if has_room(text) { texts.next().unwrap_or_default() } else { text.to_owned() };
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            let before = number.to_string();
            let after = next(&before);
            if before != after {
                *value = Value::String(after);
            }
        }
        Value::String(text) => *text = next(text),
        Value::Array(values) => values.iter_mut().for_each(|value| put_back(value, texts)),
        Value::Object(members) => {
            let mut clean = Map::new();
            for (name, mut value) in std::mem::take(members) {
                let name = if has_room(&name) { texts.next().unwrap_or_default() } else { name };
                put_back(&mut value, texts);
                clean.insert(name, value);
            }
            *members = clean;
        }
    }
}

#[cfg(test)]
mod tests;
