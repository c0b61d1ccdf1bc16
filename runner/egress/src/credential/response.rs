//! The head of a response: values are taken out of it, and it is prepared for a body whose length may change.

use http::header::{self, HeaderMap, HeaderValue};

use super::{Guard, Refusal};

/// What says something of a body that is not the same any more once a value is taken out.
const OF_THE_BODY: &[&str] = &["content-length", "content-md5", "digest", "content-digest", "repr-digest"];

impl Guard {
    /// Takes values out of the headers, or trailers, of a response, and returns how often one was in them.
    ///
    /// A body that is redacted may change its length, so what tells it is removed: the gateway frames the body anew
    /// (`Transfer-Encoding: chunked` in HTTP/1.1, nothing in HTTP/2). `has_body` is false for the response to a `HEAD`, for
    /// the statuses 1xx, 204 and 304, and for trailers: there the length says nothing of what follows. A reason phrase is
    /// not passed on at all.
    ///
    /// # Errors
    /// [`Refusal::Compressed`] for a body in an encoding other than `identity`, although [`Guard::apply`] asks for that.
    pub fn redact_head(&self, headers: &mut HeaderMap, has_body: bool) -> Result<u64, Refusal> {
        if has_body {
            let plain =
                |value: &HeaderValue, known: &[u8]| value.as_bytes().trim_ascii().eq_ignore_ascii_case(known);
            let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
            let transfers = headers.get_all(header::TRANSFER_ENCODING).iter();
            if encodings.into_iter().any(|value| !plain(value, b"identity"))
                || transfers.into_iter().any(|value| !plain(value, b"chunked"))
            {
                return Err(Refusal::Compressed);
            }
            for name in OF_THE_BODY {
                headers.remove(*name);
            }
        }
        let mut count = 0;
        // A name is in lower case, and so no value any more, unless that is in lower case too.
        let names: Vec<_> = headers
            .keys()
            .filter(|name| self.redacted(name.as_str().as_bytes()).is_some())
            .cloned()
            .collect();
        for name in names {
            headers.remove(name);
            count += 1;
        }
        for value in headers.values_mut() {
            if let Some((redacted, matches)) = self.redacted(value.as_bytes()) {
                count += matches;
                // INVARIANT: bytes of a header, and a placeholder.
                *value = HeaderValue::from_bytes(&redacted).map_err(|_| Refusal::Changed)?;
            }
        }
        Ok(count)
    }

    /// A text without values, and how many were in it; nothing if there were none.
    fn redacted(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let mut redactor = self.redactor();
        let mut out = Vec::new();
        redactor.push(text, &mut out);
        redactor.finish(&mut out);
        (redactor.matches() > 0).then(|| (out, redactor.matches()))
    }
}
