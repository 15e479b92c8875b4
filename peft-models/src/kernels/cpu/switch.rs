//! The switch of the kernels: `PEFT_KERNELS`, or a test.

use std::sync::{
    LazyLock,
    atomic::{AtomicBool, Ordering},
};

static ENABLED: LazyLock<AtomicBool> = LazyLock::new(|| {
    let off = std::env::var_os("PEFT_KERNELS").is_some_and(|value| value == "off");
    AtomicBool::new(!off)
});

/// Turns the kernels on or off, for the whole process.
pub fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Whether kernels are turned on.
pub fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}
