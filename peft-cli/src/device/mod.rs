//! Which of the compiled backends computes, and on which device of the machine.
//!
//! | file | contents |
//! |---|---|
//! | [`backend`] | the backends, and whether this build has them |
//! | [`name`] | what `--device` takes |
//! | [`kind`] | what a device is |
//! | [`listed`] | the devices of this machine, by the names that `--device` takes |
//! | [`open`], [`opened`] | opening a device, and what is known of one that is open |
//! | `gpu` | the devices of wgpu and CUDA, as CubeCL has them |
//! | [`allocation`] | how the memory of a GPU is given out |
//! | [`mod@choose`] | the device that is asked for |
//! | [`report`] | the devices as a table and as JSON |
//! | [`panics`] | panics of a backend as errors |
//! | [`memory`] | what is said where a device has no memory left |
//! | `memory_texts` | what panics and errors say of that |
//! | [`kernel_cache`] | compiled and tuned kernels on disk |
//! | [`runtime_dir`] | a variable without which a driver complains |

pub mod allocation;
pub mod backend;
pub mod choose;
#[cfg(any(feature = "wgpu-plain", feature = "cuda-plain"))]
mod gpu;
pub mod kernel_cache;
pub mod kind;
pub mod listed;
pub mod memory;
mod memory_texts;
pub mod name;
pub mod open;
pub mod opened;
pub mod panics;
pub mod report;
pub mod runtime_dir;

pub use allocation::DeviceArgs;
pub use backend::Backend;
pub use choose::choose;
pub use name::DeviceName;
