//! The library keeps the contract, with authentication codes and with signatures.

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use protocol_tendermint::Tendermint;

conformance::byzantine_log!(Tendermint::CODES);

#[tokio::test]
async fn a_leader_that_is_cut_off_is_replaced_and_rejoins() {
    conformance::partitions::a_leader_that_is_cut_off_is_replaced_and_rejoins(&Tendermint::CODES).await;
}

mod signatures {
    use super::*;

    conformance::byzantine_log!(Tendermint::SIGNATURES);
}
