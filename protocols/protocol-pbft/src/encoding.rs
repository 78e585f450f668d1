//! The byte encoding of messages and records: little endian, lists after their length.

use bytes::{Buf, Bytes};
use protocol_core::{ReplicaId, WireError};

use crate::authenticator::{Digest, Signature};

/// Appends values.
pub(crate) trait Put {
    fn number(&mut self, value: u64);
    fn short(&mut self, value: u32);
    fn digest(&mut self, digest: &Digest);
    fn signature(&mut self, signature: &Signature);
    /// Bytes after their length.
    fn block(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn number(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn short(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        self.extend_from_slice(&digest.0);
    }

    fn signature(&mut self, signature: &Signature) {
        self.extend_from_slice(&signature.to_bytes());
    }

    fn block(&mut self, bytes: &[u8]) {
        self.short(bytes.len() as u32);
        self.extend_from_slice(bytes);
    }
}

/// Reads values, and says where the bytes ended too early.
pub(crate) struct Reader {
    what: &'static str,
    bytes: Bytes,
}

impl Reader {
    pub(crate) fn new(what: &'static str, bytes: Bytes) -> Self {
        Reader { what, bytes }
    }

    fn need(&self, need: usize) -> Result<(), WireError> {
        let have = self.bytes.len();
        if have < need {
            return Err(WireError::Truncated { what: self.what, need, have });
        }
        Ok(())
    }

    pub(crate) fn byte(&mut self) -> Result<u8, WireError> {
        self.need(1)?;
        Ok(self.bytes.get_u8())
    }

    pub(crate) fn number(&mut self) -> Result<u64, WireError> {
        self.need(8)?;
        Ok(self.bytes.get_u64_le())
    }

    pub(crate) fn short(&mut self) -> Result<u32, WireError> {
        self.need(4)?;
        Ok(self.bytes.get_u32_le())
    }

    pub(crate) fn replica(&mut self) -> Result<ReplicaId, WireError> {
        self.short().map(ReplicaId)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.need(N)?;
        let mut array = [0; N];
        self.bytes.copy_to_slice(&mut array);
        Ok(array)
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, WireError> {
        self.array().map(Digest)
    }

    pub(crate) fn signature(&mut self) -> Result<Signature, WireError> {
        self.array().map(|bytes: [u8; 64]| Signature::from_bytes(&bytes))
    }

    pub(crate) fn block(&mut self) -> Result<Bytes, WireError> {
        let length = self.short()? as usize;
        self.need(length)?;
        Ok(self.bytes.split_to(length))
    }

    /// A list whose items take at least `least` bytes each, so that a lie about its length takes no memory.
    pub(crate) fn list<T>(
        &mut self,
        least: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let length = self.short()? as usize;
        self.need(length.saturating_mul(least))?;
        (0..length).map(|_| item(self)).collect()
    }

    pub(crate) fn malformed(&self, reason: String) -> WireError {
        WireError::Malformed { what: self.what, reason }
    }

    /// Nothing may be left over.
    pub(crate) fn end(self) -> Result<(), WireError> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(self.malformed(format!("{left} bytes too many"))),
        }
    }
}
