//! Where a vault is, and where in it a secret is.

use std::net::IpAddr;

use http::Uri;

/// A vault's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// False only for a development server on this host's loopback.
    pub(super) tls: bool,
    /// As in the header `Host`.
    pub(super) authority: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "`VAULT_ADDR` is not `https://HOST[:PORT]`".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        if uri.query().is_some() || uri.path() != "/" {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) => false,
            Some("http") => {
                return Err(
                    "`VAULT_ADDR` is `http://`, over which anybody on the way reads the token: use `https://`, or, for a development server, `http://127.0.0.1` or `http://[::1]`"
                        .to_owned(),
                );
            }
            _ => return Err(wrong()),
        };
        if host.is_empty() {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { host, port, tls, authority: authority.as_str().to_owned() })
    }
}

/// The API's path of a secret: `MOUNT/PATH` is `/v1/MOUNT/data/PATH`. A `data` behind the mount is the API's own, as many
/// write it.
pub(super) fn api_path(path: &str) -> Result<String, String> {
    let wrong = || "write `vault://MOUNT/PATH#KEY`, the path as `vault kv get MOUNT/PATH` has it".to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let strange = |part: &&&str| {
        part.is_empty() || **part == "." || **part == ".." || part.chars().any(|sign| sign.is_control())
    };
    if parts.iter().any(|part| strange(&part)) {
        return Err(wrong());
    }
    let (mount, rest) = parts.split_first().ok_or_else(wrong)?;
    let rest = match rest.split_first() {
        Some((first, behind)) if *first == "data" && !behind.is_empty() => behind,
        Some(_) => rest,
        None => return Err(wrong()),
    };
    let mut api = format!("/v1/{}/data", escaped(mount));
    for part in rest {
        api.push('/');
        api.push_str(&escaped(part));
    }
    Ok(api)
}

/// RFC 3986 §2.1.
fn escaped(part: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    part.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_host() {
        for (text, host, port, tls) in [
            ("https://vault.example.com:8200", "vault.example.com", 8200, true),
            ("https://vault.example.com/", "vault.example.com", 443, true),
            ("https://[2001:db8::1]:8200", "2001:db8::1", 8200, true),
            ("http://127.0.0.1:8200", "127.0.0.1", 8200, false),
            ("http://[::1]:8200", "::1", 8200, false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port, address.tls), (host, port, tls), "{text}");
        }
        for text in [
            "",
            "vault.example.com",
            "vault.example.com:8200",
            "http://vault.example.com",
            "http://localhost:8200",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://user:pw@vault.example.com",
            "https://vault.example.com/x",
            "https://vault.example.com?x",
            "https://",
            "unix:///x",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_is_that_of_the_api() {
        for (path, api) in [
            ("secret/app", "/v1/secret/data/app"),
            ("secret/app/prod", "/v1/secret/data/app/prod"),
            ("secret/data/app", "/v1/secret/data/app"),
            ("secret/data/data/app", "/v1/secret/data/data/app"),
            ("secret/data", "/v1/secret/data/data"),
            ("kv/a b?c#%", "/v1/kv/data/a%20b%3Fc%23%25"),
        ] {
            assert_eq!(api_path(path).unwrap(), api);
        }
        for path in [
            "",
            "secret",
            "secret/",
            "/secret/a",
            "secret//a",
            "secret/../sys",
            "secret/./a",
            "secret/a\r\nb",
        ] {
            assert!(api_path(path).is_err(), "{path}");
        }
    }
}
