//! The Secret Service (freedesktop.org, "Secret Service API Draft", 0.2): the item whose attributes are `service=agentrc` and
//! `key=KEY`. The session is `plain`: the value crosses a socket that only the user and root can open.

use zeroize::Zeroizing;

use super::super::Environment;
use super::dbus::{self, Bus};
use super::message::{Argument, Call, Cursor};

/// Why there is no value.
pub(super) enum Absent {
    /// There is no service, or it does not have the key: it may be elsewhere.
    Elsewhere(String),
    /// It has the key and does not give it.
    No(String),
}

const SERVICE: &str = "org.freedesktop.secrets";
/// The service's own object, and the interfaces of the two kinds.
const OBJECT: &str = "/org/freedesktop/secrets";
const OF_SERVICE: &str = "org.freedesktop.Secret.Service";
const OF_ITEM: &str = "org.freedesktop.Secret.Item";

/// A call of the service.
fn call<'a>(
    path: &'a str,
    interface: &'a str,
    member: &'a str,
    signature: &'a str,
    arguments: &'a [Argument<'a>],
) -> Call<'a> {
    Call { destination: SERVICE, path, interface, member, signature, arguments }
}

fn failed(what: &'static str) -> impl Fn(dbus::Error) -> Absent {
    move |why| Absent::No(format!("the Secret Service does not {what}: {why}"))
}

/// A connection with a session of the service, and the session's path.
pub(super) fn open(environment: &Environment) -> Result<(Bus, String), Absent> {
    let mut bus = Bus::connect(environment).map_err(Absent::Elsewhere)?;
    let arguments = [Argument::Text("plain"), Argument::Variant("")];
    let reply = match bus.call(&call(OBJECT, OF_SERVICE, "OpenSession", "sv", &arguments), "vo") {
        Ok(reply) => reply,
        Err(dbus::Error::Named(name)) if dbus::is_no_service(&name) => {
            return Err(Absent::Elsewhere("no Secret Service is on the session's bus".to_owned()));
        }
        Err(why) => return Err(failed("open a session")(why)),
    };
    let session = (|| {
        let mut body = Cursor::new(&reply);
        body.variant_of_text()?;
        body.text().map(str::to_owned)
    })();
    session.map(|session| (bus, session)).ok_or_else(|| failed("open a session")(dbus::Error::Malformed))
}

/// The value of a key.
pub(super) fn value(key: &str, environment: &Environment) -> Result<Zeroizing<Vec<u8>>, Absent> {
    let (mut bus, session) = open(environment)?;
    let attributes = [Argument::Attributes(&[("service", "agentrc"), ("key", key)])];
    let search = call(OBJECT, OF_SERVICE, "SearchItems", "a{ss}", &attributes);
    let reply = bus.call(&search, "aoao").map_err(failed("search"))?;
    let found = (|| {
        let mut body = Cursor::new(&reply);
        Some((body.texts()?, body.texts()?))
    })();
    let (unlocked, locked) = found.ok_or_else(|| failed("search")(dbus::Error::Malformed))?;
    let item = match (unlocked.as_slice(), locked.as_slice()) {
        ([item], _) => item,
        ([], []) => return Err(Absent::Elsewhere(format!("the Secret Service has no item `service=agentrc`, `key={key}`"))),
        ([], _) => return Err(Absent::No("the keyring with this key is locked: unlock it, by logging in to the desktop or in its password manager".to_owned())),
        _ => return Err(Absent::No(format!("the Secret Service has several items `service=agentrc`, `key={key}`: remove all but one"))),
    };

    let of_session = [Argument::Text(&session)];
    let get = call(item, OF_ITEM, "GetSecret", "o", &of_session);
    let reply = bus.call(&get, "(oayays)").map_err(failed("give the value"))?;
    let value = (|| {
        let mut body = Cursor::new(&reply);
        body.align(8)?;
        (body.text()? == session).then_some(())?;
        // Parameters, which `plain` has none of.
        body.bytes()?;
        body.bytes().map(|value| Zeroizing::new(value.to_vec()))
    })();
    value.ok_or_else(|| failed("give the value")(dbus::Error::Malformed))
}
