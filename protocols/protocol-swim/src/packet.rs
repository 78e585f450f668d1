//! The library's packets, which are bytes already.

use bytes::{Buf, Bytes};
use foca::{Codec, Message, PostcardCodec};
use protocol_core::{MessageKind, Wire, WireError};

use crate::identity::Member;

/// One packet of the library: its header, what it says of members, and updates.
#[derive(Clone, Debug)]
pub struct Packet(pub Bytes);

impl Packet {
    /// Whether the packet carries updates of clients, beside what it says of members. A packet that is none
    /// carries nothing.
    fn carries_updates(&self) -> bool {
        let mut rest = &self.0[..];
        let Ok(header) = Codec::<Member>::decode_header(&mut PostcardCodec, &mut rest) else { return false };
        if !matches!(header.message, Message::Broadcast) {
            let members = rest.try_get_u16().unwrap_or(0);
            for _ in 0..members {
                if Codec::<Member>::decode_member(&mut PostcardCodec, &mut rest).is_err() {
                    return false;
                }
            }
        }
        rest.has_remaining()
    }
}

impl Wire for Packet {
    fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.0);
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        Ok(Packet(bytes))
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }
}

impl protocol_core::Message for Packet {
    fn kind(&self) -> MessageKind {
        if self.carries_updates() { MessageKind::Protocol } else { MessageKind::Heartbeat }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use foca::{AccumulatingRuntime, Config, Foca};
    use protocol_core::{Command, CommandId, Message as _};
    use rand_gossip::SeedableRng;
    use rand_gossip::rngs::StdRng;

    use super::*;
    use crate::updates::Updates;

    #[test]
    fn a_packet_is_a_heartbeat_until_it_carries_an_update() {
        let config = Config::new_lan(NonZeroU32::MIN);
        let new = |replica: u32| {
            let rng = StdRng::seed_from_u64(1);
            let member = Member { replica, life: 0 };
            Foca::with_custom_broadcast(member, config.clone(), rng, PostcardCodec, Updates::default())
        };
        let (mut here, mut there, mut runtime) = (new(0), new(1), AccumulatingRuntime::new());
        here.announce(*there.identity(), &mut runtime).unwrap();
        let mut kinds = Vec::new();
        let mut talk = |runtime: &mut AccumulatingRuntime<Member>, here: &mut Foca<_, _, _, _>| {
            while let Some((to, data)) = runtime.to_send() {
                kinds.push(Packet(data.clone()).kind());
                let other = if to.replica == 0 { &mut *here } else { &mut there };
                other.handle_data(&data, &mut *runtime).unwrap();
            }
        };
        talk(&mut runtime, &mut here);
        here.add_broadcast(Command::new(CommandId(7), b"update").encoded()).unwrap();
        here.gossip(&mut runtime).unwrap();
        talk(&mut runtime, &mut here);
        let (last, before) = kinds.split_last().unwrap();
        assert_eq!(*last, MessageKind::Protocol);
        assert!(!before.is_empty() && before.iter().all(|&kind| kind == MessageKind::Heartbeat), "{kinds:?}");
        assert_eq!(Packet(Bytes::from_static(&[0xFF; 40])).kind(), MessageKind::Heartbeat);
    }
}
