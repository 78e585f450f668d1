//! The library keeps the contract, with authentication codes and with signatures.

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use protocol_tendermint::Tendermint;

conformance::byzantine_log!(Tendermint::CODES);

mod signatures {
    use super::*;

    conformance::byzantine_log!(Tendermint::SIGNATURES);
}
