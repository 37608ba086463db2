//! Masking of secrets in a text that was written for people: passwords in URLs, and values that
//! follow a word such as `password=`. It would rather mask too much than too little.

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";

/// A name that ends in one of these names a secret.
const SECRET_NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "private_key",
    "credentials",
    "authorization",
];

/// Schemes whose word precedes the secret itself: `Authorization: Bearer …`.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// Whether a value of this name is a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.ends_with(secret))
}

/// The text without its secrets.
pub(super) fn mask(text: &str) -> String {
    mask_values(&mask_userinfo(text))
}

/// `user:secret@host` becomes `user:***@host`, with or without a scheme before it.
fn mask_userinfo(text: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || "\"'`<>(){}[],;".contains(c);
    let mut masked = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_word) {
        let start = word.find("://").map_or(0, |scheme| scheme + 3);
        let userinfo = word[start..].rfind('@').map(|at| &word[start..start + at]);
        match userinfo.and_then(|userinfo| userinfo.find(':').map(|colon| (userinfo, colon))) {
            Some((userinfo, colon)) => {
                masked.push_str(&word[..=start + colon]);
                masked.push_str(MASK);
                masked.push_str(&word[start + userinfo.len()..]);
            }
            None => masked.push_str(word),
        }
    }
    masked
}

/// `password=secret`, `token: secret` and `"secret": "…"` keep the name and lose the value.
fn mask_values(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        masked.push_str(before);
        rest = after;
        if names_a_secret(before[..at].trim_end_matches(['"', '\'', '`', ' '])) {
            rest = mask_value(rest, &mut masked);
        }
    }
    masked + rest
}

/// Writes the mask for the value at the beginning of `text`, and gives what follows it.
fn mask_value<'a>(text: &'a str, masked: &mut String) -> &'a str {
    let value = text.trim_start();
    masked.push_str(&text[..text.len() - value.len()]);
    if let Some(quote) = value.chars().next().filter(|c| "\"'`".contains(*c)) {
        masked.push(quote);
        masked.push_str(MASK);
        let inside = &value[1..];
        return inside.find(quote).map_or("", |end| &inside[end..]);
    }
    let end = |text: &str| {
        let ends = |c: char| c.is_whitespace() || "&,;\"'`)]}".contains(c);
        text.find(ends).unwrap_or(text.len())
    };
    let mut length = end(value);
    if SCHEMES.iter().any(|scheme| value[..length].eq_ignore_ascii_case(scheme)) {
        let credentials = value[length..].trim_start();
        length = value.len() - credentials.len() + end(credentials);
    }
    if length > 0 {
        masked.push_str(MASK);
    }
    &value[length..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_kept() {
        let table = [
            ("connection refused", "connection refused"),
            ("no answer within 500ms", "no answer within 500ms"),
            ("postgres://app:hunter2@db:5432/x", "postgres://app:***@db:5432/x"),
            ("at postgres://app:p@ss@db/x, retry", "at postgres://app:***@db/x, retry"),
            ("(redis://:hunter2@cache)", "(redis://:***@cache)"),
            ("app:hunter2@db", "app:***@db"),
            ("https://db:5432/x", "https://db:5432/x"),
            ("mail bob@example.org", "mail bob@example.org"),
            ("host=db password=hunter2 port=5", "host=db password=*** port=5"),
            ("PASSWORD = hunter2", "PASSWORD = ***"),
            ("db_password=hunter2&x=1", "db_password=***&x=1"),
            ("?access_token=abc&page=2", "?access_token=***&page=2"),
            (r#"{"token": "a b\t", "x": 1}"#, r#"{"token": "***", "x": 1}"#),
            ("password='hunter 2', x", "password='***', x"),
            ("Authorization: Bearer abc.def, x", "Authorization: ***, x"),
            ("api_key=k secret:s pwd=p", "api_key=*** secret:*** pwd=***"),
            ("password=", "password="),
            ("password=\"hunter2", "password=\"***"),
            ("paßwort=ü token=ü€", "paßwort=ü token=***"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(mask(text), expected);
            assert_eq!(mask(expected), expected, "masking twice changes nothing");
        }
    }
}
