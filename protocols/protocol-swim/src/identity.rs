//! Who a member is: a replica, and which of its lives.

use foca::Identity;
use serde::{Deserialize, Serialize};

/// A replica in one of its lives. The library takes no one back whom it held to be down, but a later life
/// of the same replica is someone else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which replica.
    pub replica: u32,
    /// Later lives have higher numbers.
    pub life: u32,
}

impl Identity for Member {
    type Addr = u32;

    fn renew(&self) -> Option<Self> {
        Some(Member { life: self.life.wrapping_add(1), ..*self })
    }

    fn addr(&self) -> u32 {
        self.replica
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.life > adversary.life
    }
}
