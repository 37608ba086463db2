//! The texts that errors hold.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::{ManuallyDrop, replace};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde::{Serialize, Serializer};

/// A short text in an error, such as a breaker's name: a `str` that is cheap to copy.
///
/// ```
/// use avail_core::CircuitBreaker;
///
/// let breaker = CircuitBreaker::new("storage", Default::default());
/// breaker.force_open("deploying");
/// let error = breaker.acquire().expect_err("it is open");
/// assert_eq!(error.name(), "storage");
/// ```
#[derive(Clone)]
pub struct Label(ManuallyDrop<Text>);

/// Two words, and a tag in which other enums find room.
#[derive(Clone)]
enum Text {
    Kept(&'static Arc<str>),
    Counted(Arc<Arc<str>>),
    /// Of a label that is being dropped.
    Gone,
}

/// How many names are kept for ever, and of what length at most.
const KEPT: usize = 4096;
const KEPT_BYTES: usize = 128;

impl Label {
    /// The text as a `str`.
    pub fn as_str(&self) -> &str {
        self.shared()
    }

    pub(crate) fn shared(&self) -> &Arc<str> {
        match &*self.0 {
            Text::Kept(text) => text,
            Text::Counted(text) => text,
            Text::Gone => unreachable!("a label is whole until it is dropped"),
        }
    }

    /// Of a name that comes again and again. The first few thousand are kept for the life of the
    /// process, so that copies of them are not counted: to count a copy, and its end, costs as much
    /// as the rest of a rejection.
    pub(crate) fn kept(name: Arc<str>) -> Self {
        static NAMES: LazyLock<Mutex<HashMap<Arc<str>, &'static Arc<str>>>> =
            LazyLock::new(Mutex::default);

        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = names.get(&name) {
            return Label(ManuallyDrop::new(Text::Kept(kept)));
        }
        if names.len() >= KEPT || name.len() > KEPT_BYTES {
            return name.into();
        }
        let kept = Box::leak(Box::new(name.clone()));
        names.insert(name, kept);
        Label(ManuallyDrop::new(Text::Kept(kept)))
    }
}

/// By value, so that the compiler keeps an error in registers that may have to be dropped: the
/// result of every call may hold one.
impl Drop for Label {
    #[inline]
    fn drop(&mut self) {
        if matches!(*self.0, Text::Counted(_)) {
            let_go(replace(&mut *self.0, Text::Gone));
        }
    }
}

#[cold]
#[inline(never)]
fn let_go(text: Text) {
    drop(text);
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Label(ManuallyDrop::new(Text::Counted(Arc::new(text))))
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Arc::<str>::from(text).into()
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Arc::<str>::from(text).into()
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other)
    }
}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for Label {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Label {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<Label> for str {
    fn eq(&self, other: &Label) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Label> for &str {
    fn eq(&self, other: &Label) -> bool {
        *self == other.as_str()
    }
}

impl PartialEq<Label> for String {
    fn eq(&self, other: &Label) -> bool {
        self == other.as_str()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_kept(label: &Label) -> bool {
        matches!(*label.0, Text::Kept(_))
    }

    #[test]
    fn a_name_that_is_kept_is_the_same_text_for_all_who_have_it() {
        let [one, other] = ["storage", "storage"].map(|name| Label::kept(name.into()));
        assert!(is_kept(&one) && Arc::ptr_eq(one.shared(), other.shared()));
        assert_eq!((one.as_str(), &one), ("storage", &Label::from("storage")));
    }

    #[test]
    fn a_label_is_the_text_that_it_holds_to_whoever_compares_hashes_or_shows_it() {
        let (label, text) = (Label::from("storage"), String::from("storage"));
        assert_eq!(label, "storage");
        assert_eq!("storage", label);
        assert_eq!(label, *"storage");
        assert_eq!(*"storage", label);
        assert_eq!(label, text);
        assert_eq!(text, label);
        assert_ne!("search", label);
        let counts = HashMap::from([(label.clone(), 1)]);
        assert_eq!(counts.get("storage"), Some(&1));
        assert_eq!(format!("{label:>9}|{label:?}"), "  storage|\"storage\"");
        assert_eq!(serde_json::to_value(&label).expect("a text"), "storage");
    }

    #[test]
    fn a_long_name_is_not_kept() {
        let name = "n".repeat(KEPT_BYTES + 1);
        let label = Label::kept(name.as_str().into());
        assert!(!is_kept(&label) && label == *name);
    }

    #[test]
    fn a_text_goes_with_the_last_copy_of_it() {
        let text: Arc<str> = "deploying".into();
        let label = Label::from(text.clone());
        let copy = label.clone();
        drop(label);
        assert_eq!((copy.as_str(), Arc::strong_count(&text)), ("deploying", 2));
        drop(copy);
        assert_eq!(Arc::strong_count(&text), 1);
    }

    #[test]
    fn a_reason_finds_room_in_a_label_and_a_result_in_six_words() {
        use crate::{CallError, OpenReason};

        assert_eq!(size_of::<OpenReason>(), 16);
        assert!(size_of::<Result<u64, CallError<u64>>>() <= 48);
    }
}
