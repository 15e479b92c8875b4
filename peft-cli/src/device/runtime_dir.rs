//! `XDG_RUNTIME_DIR`, without which a driver complains.
//!
//! Where Vulkan has no GPU, OpenGL is asked too, and its Wayland client writes "XDG_RUNTIME_DIR is invalid or not set in the
//! environment" to stderr for each question, though nothing is ever shown.

/// Sets it where it is missing, to a folder that exists and in which nobody can put a socket. Only where a build reaches
/// that driver.
///
/// # Safety
///
/// No other thread may be running: one that reads the environment at the same time would read freed memory.
pub unsafe fn set_if_missing() {
    #[cfg(all(feature = "wgpu-plain", target_os = "linux"))]
    if std::env::var_os(NAME).is_none() {
        // SAFETY: the caller has no other thread.
        unsafe { std::env::set_var(NAME, "/proc/self") };
    }
}

/// The variable.
#[cfg(all(feature = "wgpu-plain", target_os = "linux"))]
const NAME: &str = "XDG_RUNTIME_DIR";
