//! The model families that tests run on.

pub use peft_models::random_model::Family;

/// Those with a single stack that the methods' properties are tried on; on a GPU, which compiles kernels for each shape, one of
/// each kind.
#[cfg(feature = "wgpu")]
pub const FAMILIES: [Family; 3] = [Family::Bert, Family::Gpt2, Family::Llama];

/// Those with a single stack that the methods' properties are tried on.
#[cfg(not(feature = "wgpu"))]
pub const FAMILIES: [Family; 7] = Family::ALL;
