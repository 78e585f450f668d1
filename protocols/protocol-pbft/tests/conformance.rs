//! PBFT keeps the contract, with authentication codes and with signed votes.

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use protocol_pbft::Pbft;

conformance::byzantine_log!(Pbft::MAC);

mod signed {
    use super::*;

    conformance::byzantine_log!(Pbft::SIGNED);
}
