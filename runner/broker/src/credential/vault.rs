//! `vault://MOUNT/PATH#KEY`: a key of a secret in the key-value engine, version 2, of a HashiCorp Vault or an OpenBao, over
//! its HTTP API ("KV secrets engine, version 2 (API)", "AppRole auth method (API)", "Token auth method (API)").
//!
//! The address, the namespace, the CA and the token come from the variables that Vault's own client reads.

mod address;
mod https;

use std::path::PathBuf;

use agentfile::plan::VAULT_TOKEN;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use self::address::Address;
use self::https::{Client, Reply};
use super::Environment;
use super::file::{self, Trust};

/// A login.
pub(super) struct Session {
    client: Client,
    token: Zeroizing<Vec<u8>>,
    /// Whether the token was made by this login, and is to be revoked.
    made: bool,
}

/// The vault of the environment, as `HOST[:PORT]`. It is not spoken to.
///
/// # Errors
/// What is missing.
pub(super) fn configured(environment: &Environment) -> Result<String, String> {
    let address = environment.text_of("VAULT_ADDR").ok_or("`VAULT_ADDR` is not set")?;
    let address = Address::parse(&address)?;
    let has = |name: &str| environment.value_of(name).is_ok();
    let kept = kept_login(environment).is_some();
    if has("VAULT_TOKEN") || has("VAULT_ROLE_ID") && has("VAULT_SECRET_ID") || kept {
        Ok(address.authority)
    } else {
        Err("`VAULT_ADDR` is set, and there is no token and no AppRole to log in with".to_owned())
    }
}

/// The file of an earlier `vault login`, if there is one.
fn kept_login(environment: &Environment) -> Option<PathBuf> {
    environment.home.as_ref().map(|home| home.join(VAULT_TOKEN)).filter(|path| path.exists())
}

impl Session {
    /// Takes the token, or logs in.
    pub(super) fn new(environment: &Environment) -> Result<Self, String> {
        let address = environment
            .text_of("VAULT_ADDR")
            .ok_or("`VAULT_ADDR` is not set: export the vault's `https://` address")?;
        let address = Address::parse(&address)?;
        let authority = environment.text_of("VAULT_CACERT");
        let namespace = environment.text_of("VAULT_NAMESPACE");
        if namespace.as_deref().is_some_and(|name| !name.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err("`VAULT_NAMESPACE` holds something else than visible ASCII".to_owned());
        }
        let client = Client::new(address, authority.as_deref(), namespace)?;
        let variable = |name: &str| match environment.value_of(name) {
            Ok(value) => in_header(value).map(Some).map_err(|why| format!("`{name}` {why}")),
            Err(_) => Ok(None),
        };
        if let Some(token) = variable("VAULT_TOKEN")? {
            return Ok(Self { client, token, made: false });
        }
        match (variable("VAULT_ROLE_ID")?, variable("VAULT_SECRET_ID")?) {
            (Some(role), Some(secret)) => return Self::of_role(client, &role, &secret),
            (None, None) => {}
            _ => {
                return Err(
                    "of `VAULT_ROLE_ID` and `VAULT_SECRET_ID` one is not set: AppRole needs both".to_owned()
                );
            }
        }
        let Some(path) = kept_login(environment) else {
            return Err(
                "there is no token: export `VAULT_TOKEN`, run `vault login`, or export `VAULT_ROLE_ID` and `VAULT_SECRET_ID`"
                    .to_owned(),
            );
        };
        let token = file::read(&path, Trust::Private).map_err(|why| format!("`~/.vault-token` {why}"))?;
        let token =
            in_header(super::without_line_end(token)).map_err(|why| format!("`~/.vault-token` {why}"))?;
        Ok(Self { client, token, made: false })
    }

    fn of_role(client: Client, role: &[u8], secret: &[u8]) -> Result<Self, String> {
        let mut body = Zeroizing::new(Vec::with_capacity(role.len() + secret.len() + 64));
        for part in [&b"{\"role_id\":\""[..], role, b"\",\"secret_id\":\"", secret, b"\"}"] {
            body.extend_from_slice(part);
        }
        let reply = client.exchange("POST", "/v1/auth/approle/login", None, &body)?;
        if reply.status != 200 {
            return Err(said(reply.status, "AppRole login", "check `VAULT_ROLE_ID` and `VAULT_SECRET_ID`"));
        }
        let login: Login = read(&reply, "AppRole login")?;
        let token = in_header(Zeroizing::new(login.auth.client_token.0.as_bytes().to_vec()));
        Ok(Self {
            client,
            token: token.map_err(|why| format!("the token of its AppRole login {why}"))?,
            made: true,
        })
    }

    /// The value at `MOUNT/PATH#KEY`.
    pub(super) fn value(&self, rest: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let (path, key) = rest
            .rsplit_once('#')
            .filter(|(_, key)| !key.is_empty())
            .ok_or("write `vault://MOUNT/PATH#KEY`")?;
        let reply = self.client.exchange("GET", &address::api_path(path)?, Some(&self.token), b"")?;
        match reply.status {
            200 => {}
            404 => {
                return Err(format!(
                    "the vault has nothing at `{path}`: check the path, that the engine is of version 2, and that the secret is not deleted"
                ));
            }
            status => {
                return Err(said(
                    status,
                    "read",
                    "check that the token's policy allows `read` there, and that it has not expired",
                ));
            }
        }
        let secret: Secret = read(&reply, "read")?;
        let fields = secret
            .data
            .data
            .ok_or_else(|| format!("the secret at `{path}` is deleted: undelete it, or write it anew"))?;
        match fields.0.into_iter().find(|(name, _)| name == key) {
            None => Err(format!("the secret at `{path}` has no key `{key}`")),
            Some((_, None)) => Err(format!("`{key}` of the secret at `{path}` is not a text")),
            Some((_, Some(text))) => Ok(Zeroizing::new(text.0.as_bytes().to_vec())),
        }
    }

    /// Whether the vault knows the token.
    pub(super) fn is_usable(&self) -> Result<(), String> {
        let reply = self.client.exchange("GET", "/v1/auth/token/lookup-self", Some(&self.token), b"")?;
        match reply.status {
            200 => Ok(()),
            status => Err(said(status, "look-up of the token", "log in anew")),
        }
    }

    pub(super) fn end(self) -> Result<(), String> {
        if !self.made {
            return Ok(());
        }
        let reply = self.client.exchange("POST", "/v1/auth/token/revoke-self", Some(&self.token), b"")?;
        match reply.status {
            200 | 204 => Ok(()),
            status => Err(said(status, "revocation of the token", "it lives as long as its role says")),
        }
    }
}

/// What goes into a header or into a JSON string unchanged.
fn in_header(text: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
    if text.is_empty() || text.len() > 4096 || !text.iter().all(fits) {
        return Err("holds something else than the visible ASCII of a token or an id");
    }
    Ok(text)
}

/// A status in words ("HTTP status codes" of Vault's API documentation). The body may hold anything, and is not repeated.
fn said(status: u16, what: &str, help: &str) -> String {
    match status {
        403 => format!("the vault refuses the {what}: {help}"),
        301..=308 => {
            format!("the vault answers the {what} with a redirection: set `VAULT_ADDR` to the active node")
        }
        429 | 472 | 473 => format!(
            "the vault answers the {what} with status {status}: it is busy, or a standby: try again, or set `VAULT_ADDR` to the active node"
        ),
        503 => format!("the vault is sealed or in maintenance, so the {what} failed: unseal it"),
        _ => format!("the vault answers the {what} with status {status}: {help}"),
    }
}

fn read<'a, T: Deserialize<'a>>(reply: &'a Reply, what: &str) -> Result<T, String> {
    // The parser's own words may quote what it read.
    serde_json::from_slice(reply.body()).map_err(|_| format!("the vault's answer to the {what} is not the JSON that Vault's API describes: check that `VAULT_ADDR` is a vault"))
}

#[derive(Deserialize)]
struct Login {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Text,
}

#[derive(Deserialize)]
struct Secret {
    data: Version,
}

#[derive(Deserialize)]
struct Version {
    data: Option<Fields>,
}

/// A text in a buffer that is wiped.
struct Text(Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// The keys of a secret, each once. What is no text is nothing.
struct Fields(Vec<(String, Option<Text>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Option<Text>)> = Vec::new();
                while let Some((name, field)) = map.next_entry::<String, Field>()? {
                    if fields.iter().any(|(other, _)| *other == name) {
                        return Err(serde::de::Error::custom("a key comes twice"));
                    }
                    fields.push((name, field.0));
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Each)
    }
}

/// One value of any type: kept if it is a text.
struct Field(Option<Text>);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Field;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field(Some(Text(Zeroizing::new(text.to_owned())))))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Field, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field(None))
            }
        }
        from.deserialize_any(Any)
    }
}
