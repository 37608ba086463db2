//! The component `vector_search`: every embedding in memory, and the nearest ones found by looking
//! at each.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use super::ChunkId;
use super::embedding::Embedding;
use super::error::EngineError;

type Entries = BTreeMap<ChunkId, Embedding>;

/// A chunk that was found, and how near it is: the cosine, at most 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub id: ChunkId,
    pub nearness: f32,
}

/// Every embedding by its chunk.
#[derive(Debug)]
pub struct Index {
    /// `None` once it is lost.
    entries: RwLock<Option<Entries>>,
}

/// Asks for a neighbour of something, and wants one: an empty index is of no use.
#[avail::health_check(name = "vector_search", interval = "1s")]
fn vector_search_finds() -> Result<avail::Health, EngineError> {
    let index = &super::current()?.index;
    let found = index.search(&Embedding::of("anything at all"), 1)?;
    let len = index.with_entries(Entries::len)?;
    found
        .first()
        .map(|_| avail::Health::healthy().detail("chunks", len))
        .ok_or(EngineError::IndexEmpty)
}

impl Index {
    /// An index of what was stored.
    pub fn of(stored: Vec<(ChunkId, Embedding)>) -> Self {
        Index { entries: RwLock::new(Some(stored.into_iter().collect())) }
    }

    /// The chunks whose embeddings are the nearest to `wanted`, the nearest first. It has no
    /// fallback: while the breaker is open the caller gets the breaker's error at once.
    #[avail::circuit_breaker(
        name = "vector_search",
        failure_threshold = 3,
        success_threshold = 2,
        timeout = "3s"
    )]
    pub fn nearest(&self, wanted: &Embedding, limit: usize) -> Result<Vec<Hit>, EngineError> {
        self.search(wanted, limit)
    }

    fn search(&self, wanted: &Embedding, limit: usize) -> Result<Vec<Hit>, EngineError> {
        self.with_entries(|entries| {
            let mut all: Vec<_> =
                entries.iter().map(|(id, embedding)| (wanted.cosine(embedding), id)).collect();
            all.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
            all.truncate(limit);
            all.into_iter().map(|(nearness, id)| Hit { id: id.clone(), nearness }).collect()
        })
    }

    /// Puts a document's embeddings in place of those that it had.
    pub fn replace<'a>(
        &self,
        document: &str,
        embeddings: impl Iterator<Item = &'a Embedding>,
    ) -> Result<(), EngineError> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entries = entries.as_mut().ok_or(EngineError::IndexLost)?;
        let document = document.into();
        let all = ChunkId::new(&document, 0)..=ChunkId::new(&document, u32::MAX);
        let before: Vec<_> = entries.range(all).map(|(id, _)| id.clone()).collect();
        for id in &before {
            entries.remove(id);
        }
        let numbered = (0..).zip(embeddings.cloned());
        entries.extend(
            numbered.map(|(number, embedding)| (ChunkId::new(&document, number), embedding)),
        );
        Ok(())
    }

    /// Some chunks from all over the index, at most `limit`.
    pub fn sample(&self, limit: usize) -> Result<Vec<ChunkId>, EngineError> {
        self.with_entries(|entries| {
            let step = (entries.len() / limit).max(1);
            entries.keys().step_by(step).take(limit).cloned().collect()
        })
    }

    /// Throws every embedding away.
    pub fn lose(&self) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Begins anew with what was stored.
    pub fn rebuild(&self, stored: Vec<(ChunkId, Embedding)>) {
        let entries = stored.into_iter().collect();
        self.entries.write().unwrap_or_else(PoisonError::into_inner).replace(entries);
    }

    fn with_entries<T>(&self, look: impl FnOnce(&Entries) -> T) -> Result<T, EngineError> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.as_ref().map(look).ok_or(EngineError::IndexLost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(texts: &[&str]) -> Index {
        let stored = (0..)
            .zip(texts)
            .map(|(number, text)| (ChunkId::new(&"notes.md".into(), number), Embedding::of(text)));
        Index::of(stored.collect())
    }

    #[test]
    fn the_nearest_comes_first() {
        let index = index(&["wrapped at 100 columns", "the breaker opens", "a breaker is open"]);
        let hits = index.search(&Embedding::of("the breaker opened"), 2).expect("an index");
        assert_eq!(hits.iter().map(|hit| hit.id.number).collect::<Vec<_>>(), [1, 2]);
        assert!(hits[0].nearness > hits[1].nearness);
    }

    #[test]
    fn a_document_that_got_shorter_leaves_nothing_behind() {
        let index = index(&["one", "two", "three"]);
        index.replace("notes.md", [Embedding::of("four")].iter()).expect("an index");
        assert_eq!(index.sample(10).expect("an index").len(), 1);
    }

    #[test]
    fn a_lost_index_says_so_until_it_is_rebuilt() {
        let index = index(&["one"]);
        index.lose();
        assert!(matches!(index.search(&Embedding::of("one"), 1), Err(EngineError::IndexLost)));
        index.rebuild(Vec::new());
        assert!(index.search(&Embedding::of("one"), 1).expect("an index").is_empty());
    }
}
