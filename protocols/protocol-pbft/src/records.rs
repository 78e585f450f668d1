//! What a replica writes to its log, so that after a crash it does not contradict itself.

use std::sync::Arc;

use bytes::Bytes;
use protocol_core::{Command, Wire, WireError};

use crate::batch::Batch;
use crate::certificates::{Certificate, NewView, ViewChange};
use crate::codec::{batch_len, get_batch, put_batch};
use crate::encoding::{Put, Reader};
use crate::messages::Vote;

/// An entry of a replica's log. Later ones override earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// It left its view and asked for this one.
    ViewChange(Arc<ViewChange>),
    /// It entered this view.
    NewView(Arc<NewView>),
    /// It accepted a batch of the view's primary, or proposed it as primary.
    PrePrepared(Vote),
    /// A batch and its requests, by place.
    Content(u64, Batch, Vec<(u32, Command)>),
    /// It knew the batch prepared.
    Prepared(Vote),
    /// A stable checkpoint and the application's state there; what is below is void.
    Stable(Arc<Certificate>, Bytes),
}

impl Record {
    const VIEW_CHANGE: u8 = 0;
    const NEW_VIEW: u8 = 1;
    const PRE_PREPARED: u8 = 2;
    const CONTENT: u8 = 3;
    const PREPARED: u8 = 4;
    const STABLE: u8 = 5;
}

impl Wire for Record {
    fn encode(&self, buffer: &mut Vec<u8>) {
        let vote = |tag, vote: &Vote, buffer: &mut Vec<u8>| {
            buffer.push(tag);
            buffer.number(vote.view);
            buffer.number(vote.seq);
            buffer.digest(&vote.digest);
        };
        match self {
            Record::ViewChange(change) => {
                buffer.push(Self::VIEW_CHANGE);
                change.encode(buffer);
            }
            Record::NewView(new_view) => {
                buffer.push(Self::NEW_VIEW);
                new_view.encode(buffer);
            }
            Record::PrePrepared(accepted) => vote(Self::PRE_PREPARED, accepted, buffer),
            Record::Prepared(prepared) => vote(Self::PREPARED, prepared, buffer),
            Record::Content(seq, batch, requests) => {
                buffer.push(Self::CONTENT);
                buffer.number(*seq);
                put_batch(batch, buffer);
                buffer.short(requests.len() as u32);
                for (place, command) in requests {
                    buffer.short(*place);
                    buffer.short(command.encoded_len() as u32);
                    command.encode(buffer);
                }
            }
            Record::Stable(certificate, snapshot) => {
                buffer.push(Self::STABLE);
                certificate.encode(buffer);
                buffer.block(snapshot);
            }
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new("pbft log record", bytes);
        let vote = |reader: &mut Reader| {
            Ok::<_, WireError>(Vote {
                view: reader.number()?,
                seq: reader.number()?,
                digest: reader.digest()?,
            })
        };
        let record = match reader.byte()? {
            Self::VIEW_CHANGE => Record::ViewChange(Arc::new(ViewChange::decode(&mut reader)?)),
            Self::NEW_VIEW => Record::NewView(Arc::new(NewView::decode(&mut reader)?)),
            Self::PRE_PREPARED => Record::PrePrepared(vote(&mut reader)?),
            Self::PREPARED => Record::Prepared(vote(&mut reader)?),
            Self::CONTENT => {
                let (seq, batch) = (reader.number()?, get_batch(&mut reader)?);
                let request = |reader: &mut Reader| Ok((reader.short()?, Command::decode(reader.block()?)?));
                Record::Content(seq, batch, reader.list(8, request)?)
            }
            Self::STABLE => Record::Stable(Arc::new(Certificate::decode(&mut reader)?), reader.block()?),
            other => return Err(reader.malformed(format!("unknown kind {other}"))),
        };
        reader.end()?;
        Ok(record)
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Record::ViewChange(change) => change.encoded_len(),
            Record::NewView(new_view) => new_view.encoded_len(),
            Record::PrePrepared(_) | Record::Prepared(_) => 48,
            Record::Content(_, batch, requests) => {
                let requests = requests.iter().map(|(_, command)| 8 + command.encoded_len());
                12 + batch_len(batch) + requests.sum::<usize>()
            }
            Record::Stable(certificate, snapshot) => certificate.encoded_len() + 4 + snapshot.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol_core::CommandId;

    use super::*;
    use crate::authenticator::Digest;

    #[test]
    fn records_decode_to_themselves_and_know_their_length() {
        let digest = Digest::of(b"state");
        let vote = Vote { view: 1, seq: 2, digest };
        let certificate = Arc::new(Certificate { seq: 128, state: digest, votes: Vec::new() });
        let command = Command::new(CommandId(5), b"payload");
        for record in [
            Record::PrePrepared(vote),
            Record::Prepared(vote),
            Record::Content(7, Batch::null(), vec![(3, command)]),
            Record::Stable(certificate, Bytes::from_static(b"state")),
        ] {
            let mut buffer = Vec::new();
            record.encode(&mut buffer);
            assert_eq!(buffer.len(), record.encoded_len());
            assert!(Record::decode(Bytes::copy_from_slice(&buffer[..buffer.len() - 1])).is_err());
            assert_eq!(Record::decode(buffer.into()).unwrap(), record);
        }
    }
}
