//! `scheme://user:secret@host`, and `user:secret@host`.

use super::MASK;

/// `user:secret@host` becomes `user:***@host`. Behind a scheme a user without a password is masked,
/// too: it may be a token.
pub(super) fn mask_users(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| c.is_whitespace() || "\"'`<>".contains(c)) {
        match word.find("://") {
            Some(scheme) => mask_user(word, scheme + 3, true, &mut masked),
            None => {
                for part in word.split_inclusive(|c| "(){}[],;".contains(c)) {
                    mask_user(part, 0, false, &mut masked);
                }
            }
        }
    }
    masked
}

/// The user of what begins at `start`; a secret may hold every character but those that end a word.
fn mask_user(word: &str, start: usize, alone: bool, masked: &mut String) {
    let Some(end) = word[start..].rfind('@').map(|at| start + at) else {
        return masked.push_str(word);
    };
    let secret = match word[start..end].find(':') {
        Some(colon) => start + colon + 1,
        None if alone => start,
        None => return masked.push_str(word),
    };
    masked.push_str(&word[..secret]);
    masked.push_str(MASK);
    masked.push_str(&word[end..]);
}
