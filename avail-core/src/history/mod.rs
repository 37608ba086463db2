//! The history: what happened, as lines of JSON that people can read and that outlive the process.
//!
//! | file | what it holds |
//! |---|---|
//! | `record` | one line: its fields and its checksum |
//! | `recovery` | reading back, whatever the process was doing when it died |
//! | `writer` | the thread that writes, behind a bounded queue |

pub(crate) mod record;
pub(crate) mod recovery;
pub(crate) mod writer;

pub use self::recovery::RecoveryReport;
pub use self::writer::HistoryStatus;
