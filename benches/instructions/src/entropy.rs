//! The system's randomness, always the same. The tables of some libraries take their seeds from it, and with
//! other seeds they do other work: in these programs, and only here, it has to repeat.

/// Takes the place of the C library's function of this name, which the standard library and the crate `getrandom`
/// call.
///
/// # Safety
///
/// `buffer` must be valid for writes of `length` bytes.
#[expect(unsafe_code, reason = "the linker knows it by its name, and its caller hands over a bare buffer")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller owns `length` bytes there.
    unsafe { buffer.write_bytes(0x5A, length) };
    length as isize
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn tables_have_the_same_seed_in_every_thread() {
        let hash = || std::thread::spawn(|| RandomState::new().hash_one(1)).join().unwrap();
        assert_eq!(hash(), hash());
    }
}
