//! Header fields that are about one connection, and so are not passed on (RFC 9110, section 7.6.1).

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Fields that are never passed on, besides those that Connection names.
const OF_THE_CONNECTION: [HeaderName; 6] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE, EXPECT];
/// The same without names of their own in the library.
const OLDER: [&str; 3] = ["keep-alive", "proxy-connection", "http2-settings"];

/// Header fields by which some servers take another method than the request's.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
/// Header fields by which some servers take another path.
const PATH_OVERRIDES: [&str; 3] = ["x-original-url", "x-rewrite-url", "x-original-uri"];

/// Whether a field is one of these. Servers that hand fields on as variables (CGI) read an underscore as a hyphen.
fn is_one_of(name: &HeaderName, names: &[&str]) -> bool {
    names.contains(&name.as_str().replace('_', "-").as_str())
}

/// What some servers take for the method.
pub(super) fn method_overrides(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    headers.iter().filter(|(name, _)| is_one_of(name, &METHOD_OVERRIDES)).map(|(_, value)| value)
}

/// Whether some servers take another path than the request's.
pub(super) fn replaces_path(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_one_of(name, &PATH_OVERRIDES))
}

/// Removes what is about the connection that the message came over.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // Naming these would make another message of it.
        .filter(|name| *name != HOST && *name != http::header::CONTENT_LENGTH)
        .collect();
    let trailers = headers.get(TE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        headers.remove(name);
    }
    for name in OLDER {
        headers.remove(name);
    }
    headers.remove(TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TRAILER);
    }
}

/// Whether a request asks to go on as a WebSocket (RFC 6455, section 4.1): the one upgrade that is passed on.
pub(super) fn is_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(UPGRADE).iter();
    let websocket = upgrades.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let connection = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    websocket && upgrades.next().is_none() && connection
}

/// Marks a message as one that switches to a WebSocket.
pub(super) fn upgrade_to_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_is_about_the_connection_stays_behind() {
        let mut given = headers(&[
            ("host", "a"),
            ("connection", "close, x-secret, host"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-authorization", "Basic eA=="),
            ("expect", "100-continue"),
        ]);
        strip(&mut given);
        let mut left: Vec<_> = given.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "te", "trailer", "x-other"]);
    }

    #[test]
    fn what_replaces_method_or_path_is_seen_in_each_spelling() {
        let given =
            headers(&[("x-http-method-override", "DELETE"), ("x_http_method", "PUT"), ("x-other", "GET")]);
        assert_eq!(method_overrides(&given).count(), 2);
        assert!(!replaces_path(&given));
        assert!(replaces_path(&headers(&[("x-original-url", "/admin")])));
        assert!(replaces_path(&headers(&[("x_rewrite_url", "/admin")])));
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        assert!(is_websocket(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])));
        assert!(!is_websocket(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")])));
        assert!(!is_websocket(&headers(&[("upgrade", "websocket")])));
        assert!(!is_websocket(&headers(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")])));
    }
}
