//! The tasks of checks, as a reload finds them and lets them go on.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{CheckTask, Inner, lock};
use crate::health::orders::Orders;
use crate::settings::Tuned;

impl Inner {
    /// The checks that run, each with what is made of it.
    pub(in crate::monitor) fn tuned(&self) -> Vec<Tuned> {
        let mut all: Vec<_> = lock(&self.tasks).values().map(|task| task.tuned.clone()).collect();
        all.sort_by(|a, b| a.check.name.cmp(&b.check.name));
        all
    }

    /// What is made of a check that runs, and where it takes orders.
    pub(in crate::monitor) fn task(&self, name: &str) -> Option<(Tuned, Arc<Orders>)> {
        lock(&self.tasks).get(name).map(|task| (task.tuned.clone(), task.orders.clone()))
    }

    /// Lets the task that takes those orders go on by another schedule. Gives whether it is there.
    pub(in crate::monitor) fn replace_task(&self, tuned: Tuned, orders: &Arc<Orders>) -> bool {
        let mut tasks = lock(&self.tasks);
        let same = |task: &&mut CheckTask| Arc::ptr_eq(&task.orders, orders);
        let Some(task) = tasks.get_mut(&tuned.check.name).filter(same) else { return false };
        if task.tuned.schedule != tuned.schedule {
            orders.reschedule(tuned.schedule);
        }
        task.tuned = tuned;
        true
    }

    pub(in crate::monitor) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Reads the settings anew at each SIGHUP, where there is such a signal, until the end.
    pub(in crate::monitor) fn listen_for_hangups(self: &Arc<Self>) {
        #[cfg(unix)]
        {
            *lock(&self.hangup) = crate::monitor::hangup::listen(self);
        }
    }
}
