//! Every living breaker, so that the switch for all reaches each of them at once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::inner::Inner;
use super::overrides::{Mode, ParseModeError};
use crate::log;

/// The environment variable that sets the mode at startup.
pub(crate) const MODE_VARIABLE: &str = "AVAIL_BREAKERS";

#[derive(Debug, Default)]
pub(crate) struct Fleet {
    state: Mutex<State>,
    draining: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    next_id: u64,
    members: HashMap<u64, Weak<Inner>>,
}

impl Fleet {
    pub(crate) fn new(mode: Mode) -> Self {
        let fleet = Fleet::default();
        fleet.lock().mode = mode;
        fleet
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Makes a breaker that the switch reaches: it is born with the mode of this very moment.
    pub(crate) fn admit(&self, make: impl FnOnce(u64, Mode) -> Arc<Inner>) -> Arc<Inner> {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let breaker = make(id, state.mode);
        state.members.insert(id, Arc::downgrade(&breaker));
        breaker
    }

    pub(crate) fn discharge(&self, id: u64) {
        self.lock().members.remove(&id);
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.mode, mode);
        let members: Vec<_> = state.members.values().filter_map(Weak::upgrade).collect();
        for breaker in &members {
            breaker.machine.set_mode(mode, breaker.clock.now());
        }
        drop(state);
        if before != mode {
            log::mode(before, mode);
        }
        for breaker in members {
            breaker.deliver();
        }
    }

    /// How many living breakers it knows.
    #[cfg(all(test, feature = "test-util"))]
    pub(crate) fn size(&self) -> usize {
        self.lock().members.len()
    }

    pub(crate) fn is_draining(&self) -> bool {
        // Relaxed: a flag that guards no other memory.
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }
}

impl Mode {
    /// What the value of `AVAIL_BREAKERS` asks for; on where there is none.
    pub(crate) fn from_environment(value: Option<OsString>) -> Result<Mode, ParseModeError> {
        match value {
            Some(text) if !text.is_empty() => text.to_string_lossy().parse(),
            _ => Ok(Mode::On),
        }
    }
}
