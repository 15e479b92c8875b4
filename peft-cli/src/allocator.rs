//! The allocator: freed memory stays with the program, for the next training step.
//!
//! Each step frees and allocates the same tensors as the one before. Memory that was returned to the kernel
//! would be mapped and zeroed again. Measured in docs/PERFORMANCE.md.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, for which the binding has no name; the same in mimalloc 2 and 3.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps all freed memory until the program ends.
pub fn keep_freed_memory() {
    // SAFETY: the call stores a number in a table of options; -1 is documented as "never purge".
    unsafe { mi_option_set(PURGE_DELAY, -1) };
}
