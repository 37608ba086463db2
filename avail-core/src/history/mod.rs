//! The history: what happened, as lines of JSON that people can read and that outlive the process.
//!
//! | file | what it holds |
//! |---|---|
//! | `record` | one line: its fields and its checksum |
//! | `layout` | what the files are called |
//! | `disk` | the file operations that it is made of |
//! | `recovery` | reading back, whatever the process was doing when it died |
//! | `snapshot` | what older records come to |
//! | `store` | when one file ends and the next begins |
//! | `scribe` | the thread that writes |
//! | `queue` | what waits for it |
//! | `writer` | its near end |

pub(crate) mod disk;
pub(crate) mod layout;
mod queue;
pub(crate) mod record;
pub(crate) mod recovery;
mod scribe;
mod snapshot;
pub(crate) mod store;
pub(crate) mod writer;

#[cfg(test)]
mod tests;

pub use self::recovery::RecoveryReport;
pub use self::writer::HistoryStatus;
