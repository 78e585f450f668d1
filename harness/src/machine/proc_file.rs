//! A file of `/proc` that is read again and again. It stays open and its text goes to the same buffer,
//! so that looking neither takes long nor allocates in the process that is looked at.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Longer files make the buffer grow, once.
const FIRST_BUFFER: usize = 1024;

/// An open file of `/proc`.
#[derive(Debug)]
pub(crate) struct ProcFile {
    file: File,
    text: Vec<u8>,
}

impl ProcFile {
    /// Opens it; none where there is no such file, or no permission.
    pub(crate) fn open(path: impl AsRef<Path>) -> Option<Self> {
        Some(ProcFile { file: File::open(path).ok()?, text: vec![0; FIRST_BUFFER] })
    }

    /// Its text now; none once what it tells of is gone.
    pub(crate) fn read(&mut self) -> Option<&str> {
        let mut end = 0;
        loop {
            if end == self.text.len() {
                self.text.resize(2 * end, 0);
            }
            // A short read is not the end: the kernel gives whole records, as many as fit.
            match self.file.read_at(&mut self.text[end..], end as u64).ok()? {
                0 => return std::str::from_utf8(&self.text[..end]).ok(),
                more => end += more,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole_and_again() {
        let path = "/proc/self/smaps";
        let mut file = ProcFile::open(path).unwrap();
        for _ in 0..2 {
            let text = file.read().unwrap();
            assert!(text.len() > FIRST_BUFFER);
            assert!(text.trim_end().lines().last().unwrap().starts_with("VmFlags"), "{text}");
        }
        assert!(ProcFile::open("/proc/self/no-such-file").is_none());
    }
}
