//! The steady load that the service bears: questions, and documents that are stored once more.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed; // counters that guard no other memory
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::engine::{Engine, Passage, blocking};
use crate::ingest;
use crate::status::say;

/// How often a question is asked: 25 a second.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(40);
/// How often a document is read and stored again.
const BETWEEN_DOCUMENTS: Duration = Duration::from_millis(500);
/// How many questions there are; they come round again.
const QUESTIONS: usize = 50;
/// How many words of a passage make a question, or are shown.
const WORDS: usize = 8;

/// How the load fares.
#[derive(Debug, Default)]
pub struct Tally {
    /// Questions that were answered in full.
    pub full: AtomicU64,
    /// Questions that were answered with the help of a fallback, or without a text.
    pub partial: AtomicU64,
    /// Questions that were not answered.
    pub failed: AtomicU64,
    /// Documents that were stored.
    pub stored: AtomicU64,
    /// Documents that could not be stored.
    pub not_stored: AtomicU64,
}

/// Asks one question, and shows what it comes to.
pub async fn ask_once(engine: &'static Engine, question: &str) {
    let answer = match engine.ask(question).await {
        Ok(answer) => answer,
        Err(error) => return say(format_args!("ask: {question}: {error}")),
    };
    say(format_args!("ask: {question}"));
    for Passage { id, nearness, text } in answer.passages {
        let text = text.map_or_else(|| "(no text)".into(), |text| shown(&text.value));
        say(format_args!("  {nearness:.2}  {id}  {text}"));
    }
}

/// Asks one question after another, for ever.
pub async fn ask_steadily(engine: &'static Engine, tally: &Tally) {
    let questions = questions(engine).await;
    let mut ticks = interval(BETWEEN_QUESTIONS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for question in questions.iter().cycle() {
        ticks.tick().await;
        let counter = match engine.ask(question).await {
            Ok(answer) if answer.is_partial => &tally.partial,
            Ok(_) => &tally.full,
            Err(_) => &tally.failed,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Some words of passages from all over what is stored.
async fn questions(engine: &'static Engine) -> Vec<String> {
    let asked = blocking(move || {
        let sample = engine.index.sample(QUESTIONS)?;
        let texts = sample.iter().filter_map(|id| engine.storage.read(id).transpose());
        texts.map(|text| Ok(shown(&text?.value))).collect()
    });
    asked.await.unwrap_or_else(|error| {
        say(format_args!("load: there is nothing to ask for: {error}"));
        Vec::new()
    })
}

fn shown(text: &str) -> String {
    text.split_whitespace().take(WORDS).collect::<Vec<_>>().join(" ")
}

/// Stores one document after another once more, for ever.
pub async fn ingest_steadily(engine: &'static Engine, documents: &[PathBuf], tally: &Tally) {
    let mut ticks = interval(BETWEEN_DOCUMENTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for document in documents.iter().cycle() {
        ticks.tick().await;
        let stored = ingest::store(engine, document).await;
        let counter = if stored.is_ok() { &tally.stored } else { &tally.not_stored };
        counter.fetch_add(1, Relaxed);
    }
}
