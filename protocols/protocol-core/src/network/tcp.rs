//! Sockets between replicas: one connection per ordered pair, frames of `u32 length ++ message`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::{FRAME_HEADER_BYTES, Inbox};
use crate::protocol::LaunchError;
use crate::replica::ReplicaId;
use crate::wire::Message;

const LARGEST_FRAME: usize = 256 << 20;
/// Messages encoded into one write, at most.
const WRITE_BATCH: usize = 256;

/// All connections of a cluster.
pub(super) struct TcpLinks<M> {
    replicas: usize,
    /// By `from * replicas + to`; none on the diagonal.
    writers: Vec<Option<mpsc::UnboundedSender<M>>>,
    tasks: Vec<AbortHandle>,
}

impl<M: Message> TcpLinks<M> {
    /// Listens for every replica and connects every pair.
    pub(super) async fn open(
        address: IpAddr,
        base_port: Option<u16>,
        inboxes: Vec<Inbox<M>>,
    ) -> Result<Self, LaunchError> {
        let replicas = inboxes.len();
        let inboxes = Arc::new(inboxes);
        let mut links = TcpLinks { replicas, writers: Vec::new(), tasks: Vec::new() };
        let mut addresses = Vec::new();
        for to in ReplicaId::all(replicas) {
            let port = match base_port {
                Some(base) => base.checked_add(to.0 as u16).ok_or_else(|| {
                    refused(SocketAddr::new(address, base), io::Error::other("ports beyond 65535"))
                })?,
                None => 0,
            };
            let wanted = SocketAddr::new(address, port);
            let listener = TcpListener::bind(wanted).await.map_err(|source| refused(wanted, source))?;
            addresses.push(listener.local_addr().map_err(|source| refused(wanted, source))?);
            links.keep(tokio::spawn(accept(listener, to, inboxes.clone())));
        }
        for from in ReplicaId::all(replicas) {
            for to in ReplicaId::all(replicas) {
                let writer =
                    if from == to { None } else { Some(links.connect(from, addresses[to.index()]).await?) };
                links.writers.push(writer);
            }
        }
        Ok(links)
    }

    /// Hands a message to the connection's writer.
    pub(super) fn carry(&self, from: ReplicaId, to: ReplicaId, message: M) {
        if let Some(Some(writer)) = self.writers.get(from.index() * self.replicas + to.index()) {
            writer.send(message).ok();
        }
    }

    /// Ends all tasks, which closes listeners and connections.
    pub(super) fn close(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }

    async fn connect(
        &mut self,
        from: ReplicaId,
        to: SocketAddr,
    ) -> Result<mpsc::UnboundedSender<M>, LaunchError> {
        let mut stream = TcpStream::connect(to).await.map_err(|source| refused(to, source))?;
        stream.set_nodelay(true).map_err(|source| refused(to, source))?;
        stream.write_u32(from.0).await.map_err(|source| refused(to, source))?;
        let (writer, messages) = mpsc::unbounded_channel();
        self.keep(tokio::spawn(write(stream, messages)));
        Ok(writer)
    }

    fn keep(&mut self, task: JoinHandle<()>) {
        self.tasks.push(task.abort_handle());
    }
}

impl<M> Drop for TcpLinks<M> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn refused(address: SocketAddr, source: io::Error) -> LaunchError {
    LaunchError::Network { address: address.to_string(), source }
}

/// Reads from every peer that connects; its readers end with it.
async fn accept<M: Message>(listener: TcpListener, to: ReplicaId, inboxes: Arc<Vec<Inbox<M>>>) {
    let mut readers = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inboxes = inboxes.clone();
        readers.spawn(async move {
            if let Err(error) = read(stream, &inboxes[to.index()], inboxes.len()).await {
                eprintln!("replica {to}: connection lost: {error}");
            }
        });
    }
}

async fn read<M: Message>(mut stream: TcpStream, inbox: &Inbox<M>, replicas: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let from = ReplicaId(stream.read_u32().await?);
    if from.index() >= replicas {
        return Err(io::Error::other(format!("a stranger introduced itself as replica {from}")));
    }
    let codec = LengthDelimitedCodec::builder().max_frame_length(LARGEST_FRAME).new_codec();
    let mut frames = FramedRead::new(stream, codec);
    while let Some(frame) = frames.next().await {
        inbox(from, M::decode(frame?.freeze()).map_err(io::Error::other)?);
    }
    Ok(())
}

async fn write<M: Message>(mut stream: TcpStream, mut messages: mpsc::UnboundedReceiver<M>) {
    let (mut batch, mut buffer) = (Vec::with_capacity(WRITE_BATCH), Vec::new());
    while messages.recv_many(&mut batch, WRITE_BATCH).await > 0 {
        for message in batch.drain(..) {
            let start = buffer.len();
            buffer.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
            message.encode(&mut buffer);
            let length = (buffer.len() - start - FRAME_HEADER_BYTES) as u32;
            buffer[start..start + FRAME_HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
        }
        // The peer is gone: what it misses, it learns again when it comes back.
        if stream.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
    }
}
