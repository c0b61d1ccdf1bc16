//! What values usually look like: tables, from which a placeholder takes its prefix and its alphabet. A client that looks
//! at its key before it sends it then finds what it expects.

/// What a value begins with that its issuer puts before each of its keys: public, so it stays. Of two that fit, the longer.
pub(crate) const PREFIXES: &[&str] = &[
    // GitHub: personal, OAuth, user-to-server, server-to-server, refresh, fine-grained.
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    // GitLab: personal, deploy, runner, CI job.
    "glpat-",
    "gldt-",
    "glrt-",
    "glcbt-",
    // OpenAI, Anthropic, OpenRouter, and who took the form over.
    "sk-",
    "sk-proj-",
    "sk-svcacct-",
    "sk-admin-",
    "sk-ant-api03-",
    "sk-ant-admin01-",
    "sk-ant-oat01-",
    "sk-or-v1-",
    // Other models: Groq, xAI, Replicate, Perplexity, Hugging Face, Google.
    "gsk_",
    "xai-",
    "r8_",
    "pplx-",
    "hf_",
    "AIza",
    "ya29.",
    // AWS: long-term and temporary key ids.
    "AKIA",
    "ASIA",
    // Slack: bot, user, app.
    "xoxb-",
    "xoxp-",
    "xapp-",
    // Registries of packages.
    "npm_",
    "pypi-",
    "dckr_pat_",
    "rubygems_",
    // DigitalOcean, Stripe, SendGrid, Vault, Databricks, Linear, Notion.
    "dop_v1_",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "SG.",
    "hvs.",
    "dapi",
    "lin_api_",
    "ntn_",
];

/// The header of every placeholder for a JSON Web Token (RFC 7519): `{"alg":"HS256","typ":"JWT"}`. Not the value's own,
/// which may name a key.
pub(crate) const JWT_HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";

/// The dashes of a UUID (RFC 9562 §4). All 32 digits are drawn, the version's too.
pub(crate) const UUID: &[usize] = &[8, 13, 18, 23];

/// Alphabets from the smallest to the largest: the first that holds a whole value is its own. The last is drawn from for
/// whatever no other holds. A placeholder thereby never needs to be escaped in a header, a URL or JSON.
pub(crate) const ALPHABETS: &[&[u8]] = &[
    b"0123456789",
    b"0123456789abcdef",
    b"0123456789ABCDEF",
    // RFC 4648 §6.
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    b"0123456789abcdefghijklmnopqrstuvwxyz",
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ANY,
];

/// Letters and digits.
pub(crate) const ANY: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a last sign of base64 may be before so many `=`: its low bits stand for nothing, and a strict decoder wants them
/// zero (RFC 4648 §3.5).
pub(crate) const LAST: &[&[u8]] = &[ANY, b"AEIMQUYcgkosw048", b"AQgw"];

/// How many signs of an alphabet hold 128 bits.
pub(crate) fn signs_for_128_bits(alphabet: &[u8]) -> usize {
    // Rounded down to whole 1/16 bits, so that the count is never too small.
    let size = u128::try_from(alphabet.len()).unwrap_or(2);
    let sixteenths = usize::try_from(size.saturating_pow(16).max(2).ilog2()).unwrap_or(1);
    (128 * 16_usize).div_ceil(sixteenths)
}

/// The longest known prefix of a value that leaves something of it.
pub(crate) fn prefix(value: &[u8]) -> &'static str {
    let fitting =
        PREFIXES.iter().filter(|prefix| value.len() > prefix.len() && value.starts_with(prefix.as_bytes()));
    fitting.max_by_key(|prefix| prefix.len()).copied().unwrap_or_default()
}

/// The alphabet of a value's signs.
pub(crate) fn alphabet(signs: &[u8]) -> &'static [u8] {
    let all_in = |alphabet: &&&[u8]| signs.iter().all(|sign| alphabet.contains(sign));
    ALPHABETS.iter().find(all_in).copied().unwrap_or(ANY)
}

/// Whether a value is a UUID, and in which alphabet.
pub(crate) fn uuid(value: &[u8]) -> Option<&'static [u8]> {
    let dash_or_digit = |(at, sign): (usize, &u8)| (*sign == b'-') == UUID.contains(&at);
    if value.len() != 36 || !value.iter().enumerate().all(dash_or_digit) {
        return None;
    }
    let digits = value.iter().filter(|sign| **sign != b'-');
    if digits.clone().any(|sign| !sign.is_ascii_hexdigit()) {
        return None;
    }
    let upper = digits.clone().any(u8::is_ascii_uppercase);
    Some(if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" })
}

/// The lengths of a JSON Web Token's payload and signature.
pub(crate) fn jwt(value: &[u8]) -> Option<(usize, usize)> {
    let base64url = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|sign| sign.is_ascii_alphanumeric() || b"-_".contains(sign))
    };
    let mut parts = value.split(|sign| *sign == b'.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    // `eyJ` is what `{"` and one more sign become.
    let is_one = parts.next().is_none()
        && header.starts_with(b"eyJ")
        && [header, payload, signature].into_iter().all(base64url);
    is_one.then_some((payload.len(), signature.len()))
}

/// How many `=` end a value that is whole base64 (RFC 4648 §4, §5).
pub(crate) fn padding(value: &[u8]) -> usize {
    let padding = value.iter().rev().take_while(|sign| **sign == b'=').count();
    let signs = value.get(..value.len() - padding).unwrap_or_default();
    let base64 = |sign: &u8| sign.is_ascii_alphanumeric() || b"+/-_".contains(sign);
    if value.len().is_multiple_of(4) && padding <= 2 && signs.iter().all(base64) { padding } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_signs_are_drawn_for_128_bits() {
        for alphabet in ALPHABETS {
            let signs = signs_for_128_bits(alphabet);
            let bits = |signs: usize| (alphabet.len() as f64).log2() * signs as f64;
            assert!(bits(signs) >= 128.0 && bits(signs - 2) < 128.0, "{signs} of {}", alphabet.len());
        }
    }

    #[test]
    fn a_prefix_needs_no_escape_anywhere() {
        for prefix in PREFIXES.iter().chain([&JWT_HEADER]) {
            assert!(prefix.bytes().all(|sign| sign.is_ascii_alphanumeric() || b"-_.".contains(&sign)));
        }
    }

    #[test]
    fn the_longer_prefix_is_taken() {
        assert_eq!(prefix(b"sk-ant-api03-abc"), "sk-ant-api03-");
        assert_eq!(prefix(b"sk-abc"), "sk-");
        assert_eq!(prefix(b"sk-"), "");
        assert_eq!(prefix(b"nothing"), "");
    }
}
