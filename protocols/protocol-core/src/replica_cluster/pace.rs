//! Lets the task of a replica stand still, and go on.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Going,
    /// The task finishes its round first.
    Asked,
    Standing,
}

/// Shared by a replica's task and whoever pauses it.
#[derive(Debug)]
pub(super) struct Pace {
    /// Whether the state is another than going: what the task looks at in every round.
    asked: AtomicBool,
    state: watch::Sender<State>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { asked: AtomicBool::new(false), state: watch::Sender::new(State::Going) }
    }
}

impl Pace {
    /// Asks the task to stand still; false when it does or was asked already. The task has to be woken.
    pub(super) fn pause(&self) -> bool {
        self.asked.store(true, Relaxed);
        self.change(State::Going, State::Asked)
    }

    /// Waits until the task stands still, or is gone.
    pub(super) async fn stands(&self) {
        self.state.subscribe().wait_for(|&state| state != State::Asked).await.ok();
    }

    /// Lets the task go on; false when it does not stand still.
    pub(super) fn resume(&self) -> bool {
        self.asked.store(false, Relaxed);
        self.state.send_replace(State::Going) != State::Going
    }

    /// Whether the task should stand still.
    pub(super) fn is_paused(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// Called by the task: stands still until it may go on.
    pub(super) async fn stand(&self) {
        self.end();
        self.state.subscribe().wait_for(|&state| state == State::Going).await.ok();
    }

    /// Called by the task: it does nothing any more, for now or for good.
    pub(super) fn end(&self) {
        self.change(State::Asked, State::Standing);
    }

    fn change(&self, from: State, to: State) -> bool {
        self.state.send_if_modified(|state| {
            let changes = *state == from;
            if changes {
                *state = to;
            }
            changes
        })
    }
}
