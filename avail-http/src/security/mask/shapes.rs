//! What looks like a key wherever it stands: those that begin as their makers have agreed, tokens of
//! three parts, and keys between two lines that say so.

use super::{MASK, looks_random};

/// Beginnings, and how many characters follow at least.
const BEGINNINGS: [(&str, usize); 21] = [
    ("AKIA", 12),
    ("ASIA", 12),
    ("AIza", 20),
    ("eyJ", 17),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    ("npm_", 16),
    ("pypi-", 16),
    ("sk-", 16),
    ("sk_live_", 8),
    ("rk_live_", 8),
    ("xoxa-", 8),
    ("xoxb-", 8),
    ("xoxp-", 8),
    ("xoxr-", 8),
    ("xoxs-", 8),
];

/// Words before credentials, wherever they stand.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

pub(super) fn mask_keys(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut follows_scheme = false;
    for word in words(&mask_blocks(text)) {
        let is_secret = is_key(word) || (follows_scheme && looks_random(word));
        masked.push_str(if is_secret { MASK } else { word });
        if !word.trim().is_empty() {
            follows_scheme = SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
        }
    }
    masked
}

fn is_key(word: &str) -> bool {
    BEGINNINGS.iter().any(|(beginning, more)| {
        word.strip_prefix(beginning).is_some_and(|rest| rest.len() >= *more)
    })
}

/// Words of what keys are made of, and what stands between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || "_-.+/=~".contains(c);
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let ends = |c: char| is_of_key(c) != is_of_key(first);
        let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        rest = after;
        Some(word)
    })
}

/// Everything between `-----BEGIN … PRIVATE KEY-----` and `-----END`.
fn mask_blocks(text: &str) -> String {
    const BEGINNING: &str = "PRIVATE KEY-----";
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGINNING) {
        let (before, after) = rest.split_at(at + BEGINNING.len());
        let is_end = before.rfind("-----END").is_some_and(|end| !before[end..].contains("BEGIN"));
        masked.push_str(before);
        rest = after;
        if !is_end {
            masked.push_str(MASK);
            rest = after.find("-----END").map_or("", |end| &after[end..]);
        }
    }
    masked + rest
}
