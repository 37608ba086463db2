//! `password=secret`, `token: secret`, `"secret": "…"`: they keep the name and lose the value.

use super::{MASK, looks_random};

/// A name that ends in one of these names a secret.
const ENDINGS: [&str; 28] = [
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secrets",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "accesskey",
    "accountkey",
    "private_key",
    "private-key",
    "privatekey",
    "signature",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "session_id",
    "sessionid",
    "_pass",
    "-pass",
    "jwt",
];

/// Another word often ends in this, and so it is one only by itself.
const WHOLE: &str = "pass";

/// Names of secrets in a query, where the same word elsewhere is a word.
const OF_QUERIES: [&str; 2] = ["sig", "key"];

/// Schemes whose word precedes the secret itself, and those that precede a list of them.
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "apikey", "negotiate", "ntlm"];
const SCHEMES_OF_LISTS: [&str; 3] = ["digest", "hawk", "aws4-hmac-sha256"];

/// Whether a value of this name is a secret.
pub(in crate::security) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == WHOLE || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

pub(super) fn mask_values(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let Some((start, end)) = next_name(text, at) else { break };
        masked.push_str(&text[at..end]);
        at = end;
        if let Some((lead, length)) = secret_after(&text[..start], &text[start..end], &text[end..])
        {
            masked.push_str(&text[end..end + lead]);
            masked.push_str(MASK);
            at = end + lead + length;
        }
    }
    masked.push_str(&text[at.min(text.len())..]);
    masked
}

/// Where the next word that may be a name begins and ends.
fn next_name(text: &str, from: usize) -> Option<(usize, usize)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let start = from + text[from..].find(is_of_name)?;
    let length = text[start..].find(|c| !is_of_name(c)).unwrap_or(text.len() - start);
    Some((start, start + length))
}

/// Where the secret is that follows a name, if one does: how far behind it, and how long.
fn secret_after(before: &str, name: &str, after: &str) -> Option<(usize, usize)> {
    let in_query = before.ends_with(['?', '&'])
        && OF_QUERIES.iter().any(|short| name.eq_ignore_ascii_case(short));
    if !in_query && !names_a_secret(name) {
        return None;
    }
    let (value, is_sure) = match behind_separator(after) {
        Some(value) => (value, true),
        None => (behind_words(after)?, name.starts_with("--")),
    };
    let (lead, length) = extent(name, value);
    let secret = &value[lead..lead + length];
    // A parser's complaint quotes a token in a line or two of code.
    let is_quoted = lead > 0 && length >= 4 && !value.starts_with('`');
    let counts = is_sure || is_quoted || looks_random(secret);
    (counts && length > 0).then(|| (after.len() - value.len() + lead, length))
}

/// What stands behind `=`, `:` or `=>`, with a quote or a bracket that closes the name before it.
fn behind_separator(after: &str) -> Option<&str> {
    let rest = after.trim_start_matches(['"', '\'', '`', '\\', ']', ')']).trim_start();
    let is_path = rest.starts_with("::") || rest.starts_with("://");
    let value = rest.strip_prefix("=>").or_else(|| rest.strip_prefix(['=', ':']));
    value.filter(|_| !is_path).map(str::trim_start)
}

/// What stands behind blanks, or behind `is` or `was`.
fn behind_words(after: &str) -> Option<&str> {
    let rest = after.trim_start();
    let verb = rest.strip_prefix("is ").or_else(|| rest.strip_prefix("was "));
    (rest.len() < after.len()).then(|| verb.unwrap_or(rest).trim_start())
}

/// Where in a value the secret is.
fn extent(name: &str, value: &str) -> (usize, usize) {
    let line = value.find(['\n', '\r']).unwrap_or(value.len());
    if let Some(inside) = value.strip_prefix("\\\"") {
        return (2, inside.find("\\\"").unwrap_or(inside.len()));
    }
    if let Some(quote) = value.chars().next().filter(|c| "\"'`".contains(*c)) {
        return (1, quoted(&value[1..], quote));
    }
    if name.to_ascii_lowercase().ends_with("cookie") {
        return (0, value[..line].find(['"', '\'']).unwrap_or(line));
    }
    let word = bare(value);
    if value[word..].starts_with(['(', '[', '{']) {
        return (0, word + bracketed(&value[word..]));
    }
    let scheme =
        |schemes: &[&str]| schemes.iter().any(|scheme| value[..word].eq_ignore_ascii_case(scheme));
    if scheme(&SCHEMES_OF_LISTS) {
        return (0, line);
    }
    if scheme(&SCHEMES) {
        let credentials = value[word..].trim_start();
        return (0, value.len() - credentials.len() + bare(credentials));
    }
    (0, word)
}

/// Up to the quote that closes it, or to the end.
fn quoted(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(inside.len())
}

/// Up to the bracket that closes the first one, and with it.
fn bracketed(text: &str) -> usize {
    let mut depth = 0_usize;
    let end = text.char_indices().find(|(_, c)| {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// A word without quotes.
fn bare(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || "&,;\"'`()[]{}".contains(c);
    text.find(ends).unwrap_or(text.len())
}
