//! The allocator: tensors that are freed stay with the program, for the next step.
//!
//! A training step frees and allocates the same tensors as the one before. Given back to the kernel, each is
//! mapped and zeroed anew. Measured in docs/PERFORMANCE.md.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the binding has no name for; the same in mimalloc 2 and 3.
const PURGE_DELAY: mi_option_t = 15;

/// Lets nothing go back to the kernel before the program ends.
pub fn keep_freed_memory() {
    // SAFETY: the call stores a number in a table of options; -1 is documented as "never purge".
    unsafe { mi_option_set(PURGE_DELAY, -1) };
}
