//! The library's messages on the wire, in postcard's encoding, which is the library's own.

use bytes::Bytes;
use iroh_gossip::proto::Message;
use iroh_gossip::proto::state::MessageKind as Kind;
use protocol_core::{MessageKind, Wire, WireError};

/// One message of the library.
#[derive(Clone, Debug)]
pub struct GossipMessage(pub Message<u32>);

impl Wire for GossipMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        let written = postcard::to_io(&self.0, buffer);
        assert!(written.is_ok(), "memory takes every message, and every message has an encoding");
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let malformed = |reason: String| WireError::Malformed { what: "gossip message", reason };
        let decoded = postcard::take_from_bytes(&bytes);
        let (message, rest) = decoded.map_err(|error| malformed(error.to_string()))?;
        if rest.is_empty() {
            return Ok(GossipMessage(message));
        }
        Err(malformed(format!("{} bytes too many", rest.len())))
    }

    fn encoded_len(&self) -> usize {
        let counted = self.0.size();
        assert!(counted.is_ok(), "every message has an encoding");
        counted.unwrap_or(0)
    }
}

impl protocol_core::Message for GossipMessage {
    fn kind(&self) -> MessageKind {
        match self.0.kind() {
            Kind::Data => MessageKind::Protocol,
            Kind::Control => MessageKind::Control,
        }
    }
}

#[cfg(test)]
mod tests {
    use iroh_gossip::proto::{Command, Config, InEvent, OutEvent, Scope, State, TopicId};
    use protocol_core::Message as _;
    use rand_gossip::SeedableRng;
    use rand_gossip::rngs::StdRng;

    use super::*;

    /// What two nodes say to each other when one joins the other and broadcasts.
    #[expect(clippy::disallowed_methods, reason = "the library compares instants, and this one stands still")]
    fn conversation() -> Vec<GossipMessage> {
        let (topic, now) = (TopicId::from([7; 32]), std::time::Instant::now().into());
        let new =
            |id: u32| State::new(id, Default::default(), Config::default(), StdRng::seed_from_u64(id.into()));
        let mut nodes = [new(0), new(1)];
        let broadcast = Command::Broadcast(vec![7; 300].into(), Scope::Swarm);
        let mut said = Vec::new();
        let orders = [(0, Command::Join(vec![])), (1, Command::Join(vec![0])), (1, broadcast)];
        for (node, order) in orders {
            let mut todo = vec![(node, InEvent::Command(topic, order))];
            while let Some((node, event)) = todo.pop() {
                for out in nodes[node as usize].handle(event, now, None) {
                    if let OutEvent::SendMessage(to, message) = out {
                        said.push(GossipMessage(message.clone()));
                        todo.push((to, InEvent::RecvMessage(node, message)));
                    }
                }
            }
        }
        said
    }

    #[test]
    fn messages_travel_whole_and_have_the_length_they_promise() {
        let said = conversation();
        for message in &said {
            let mut buffer = Vec::new();
            message.encode(&mut buffer);
            assert_eq!(buffer.len(), message.encoded_len(), "{message:?}");
            let decoded = GossipMessage::decode(buffer.clone().into()).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
            buffer.push(0);
            assert!(GossipMessage::decode(buffer.into()).is_err(), "a byte too many is an error");
        }
        let payloads = said.iter().filter(|message| message.kind() == MessageKind::Protocol).count();
        assert_eq!(payloads, 1, "one copy of the update goes over the one link");
        assert!(said.len() > 2, "joining is control: {said:?}");
    }
}
