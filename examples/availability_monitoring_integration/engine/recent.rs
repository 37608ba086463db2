//! What was asked for lately: what a fallback serves from.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// The last so many values, by key. When another comes, the one goes that was put the longest ago.
#[derive(Debug)]
pub struct Recent<K, V> {
    limit: usize,
    kept: Mutex<(HashMap<K, V>, VecDeque<K>)>,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    /// Keeps at most `limit` values: few, since putting one takes a look at each key.
    pub fn new(limit: usize) -> Self {
        Recent { limit, kept: Mutex::default() }
    }

    /// Keeps `value`, in place of one of the same key.
    pub fn put(&self, key: K, value: V) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (values, order) = &mut *kept;
        if values.insert(key.clone(), value).is_some() {
            order.retain(|other| *other != key);
        }
        order.push_back(key);
        if order.len() > self.limit
            && let Some(oldest) = order.pop_front()
        {
            values.remove(&oldest);
        }
    }

    /// The value of that key, if it is still kept.
    pub fn get(&self, key: &K) -> Option<V> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_the_longest_ago_goes_when_another_comes() {
        let recent = Recent::new(2);
        for (key, value) in [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')] {
            recent.put(key, value);
        }
        assert_eq!([1, 2, 3].map(|key| recent.get(&key)), [Some('c'), None, Some('d')]);
    }
}
