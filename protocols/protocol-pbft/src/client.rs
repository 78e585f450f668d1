//! What clients put on their requests, and how replicas check it.
//!
//! A request's digest covers id and payload. Its seal authenticates that digest: by a code for every
//! replica (the paper's authenticator, OSDI '99 §5.2), or by one signature. The seal stays on the request for
//! as long as replicas pass it on, so that each can check for itself; it is taken off before delivery.

use std::sync::Arc;

use bytes::Bytes;
use protocol_core::{Command, Seal};

use crate::authenticator::{Authentication, Digest, KeySource, Keyring, Signature, Tag};

/// Before the digest, so that a request is never taken for anything else.
const REQUEST: u8 = 250;
const STATEMENT_BYTES: usize = 1 + Digest::BYTES;
const SIGNATURE_BYTES: usize = 64;

fn statement(digest: &Digest) -> [u8; STATEMENT_BYTES] {
    let mut statement = [REQUEST; STATEMENT_BYTES];
    statement[1..].copy_from_slice(&digest.0);
    statement
}

/// What the client of this cluster puts on its requests.
pub(crate) fn seal(source: &KeySource, authentication: Authentication) -> Seal {
    match authentication {
        Authentication::Mac => {
            let keys = Arc::new(source.client_keys());
            Seal::new(move |command| {
                let statement = statement(&Digest::of(command.encoded()));
                keys.iter().flat_map(|key| key.tag(&statement)).collect::<Vec<u8>>().into()
            })
        }
        Authentication::Signature => {
            let key = source.client_signer();
            Seal::new(move |command| {
                let statement = statement(&Digest::of(command.encoded()));
                Bytes::copy_from_slice(&key.sign(&statement).to_bytes())
            })
        }
    }
}

/// A request as a replica sees it.
pub(crate) struct Opened {
    pub(crate) digest: Digest,
    pub(crate) authentic: bool,
}

/// How requests are sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealKind {
    pub(crate) authentication: Authentication,
    pub(crate) replicas: usize,
}

impl SealKind {
    fn bytes(&self) -> usize {
        match self.authentication {
            Authentication::Mac => self.replicas * size_of::<Tag>(),
            Authentication::Signature => SIGNATURE_BYTES,
        }
    }

    /// The command without its seal; none when it is too short to have one.
    pub(crate) fn strip(&self, sealed: &Command) -> Option<Command> {
        sealed.unsealed(self.bytes()).ok().map(|(command, _)| command)
    }

    /// Digest and authenticity; none when it is too short to have a seal.
    pub(crate) fn open(&self, sealed: &Command, keys: &Keyring) -> Option<Opened> {
        let encoded = sealed.encoded();
        let end = encoded.len().checked_sub(self.bytes()).filter(|&end| end >= Command::HEADER_BYTES)?;
        let (command, seal) = encoded.split_at(end);
        let digest = Digest::of(command);
        let statement = statement(&digest);
        let authentic = match self.authentication {
            Authentication::Mac => {
                let own = keys.id().index() * size_of::<Tag>();
                let tag = seal.get(own..own + size_of::<Tag>()).and_then(|tag| tag.try_into().ok());
                tag.is_some_and(|tag: &Tag| keys.check_client_tag(&statement, tag))
            }
            Authentication::Signature => {
                Signature::from_slice(seal).is_ok_and(|seal| keys.verify_client(&statement, &seal))
            }
        };
        Some(Opened { digest, authentic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticator::SignatureScheme;
    use protocol_core::{CommandId, ReplicaId};

    #[test]
    fn every_replica_believes_the_clients_seal_and_no_other() {
        let kinds = [
            (Authentication::Mac, SignatureScheme::Ed25519),
            (Authentication::Signature, SignatureScheme::Ed25519),
            (Authentication::Signature, SignatureScheme::Ideal),
        ];
        for (authentication, scheme) in kinds {
            let source = |seed| KeySource::new(scheme, seed, 4);
            let kind = SealKind { authentication, replicas: 4 };
            let command = Command::new(CommandId(5), b"payload");
            let sealed = seal(&source(1), authentication).apply(&command);
            let forged = seal(&source(2), authentication).apply(&command);
            for id in ReplicaId::all(4) {
                let keys = source(1).keyring(id);
                let opened = kind.open(&sealed, &keys).unwrap();
                assert!(opened.authentic && opened.digest == Digest::of(command.encoded()));
                assert!(!kind.open(&forged, &keys).unwrap().authentic);
                assert!(kind.open(&command, &keys).is_none());
            }
            assert_eq!(kind.strip(&sealed), Some(command));
        }
    }
}
