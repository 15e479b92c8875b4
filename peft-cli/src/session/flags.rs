//! The flags that name a model and its adapters.

use std::path::PathBuf;

use clap::Args;
use peft_models::{Compute, WeightFormat};

use crate::{
    device::{self, DeviceArgs, DeviceName},
    flags::{choices::parse_value, help::FlagHelp},
};

/// Flags of every command that uses a model.
#[derive(Args, Clone, Debug)]
pub struct UseArgs {
    /// Base model: a folder, a GGUF file, or org/name on the Hugging Face Hub.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Adapter: a folder, or org/name on the Hub. `predict` takes several.
    #[arg(long = "adapter", value_name = "ADAPTER", show_default = "none, the base model alone")]
    pub adapters: Vec<PathBuf>,
    /// Use an adapter even if it was trained on another base model of the same shape.
    #[arg(long)]
    pub any_base: bool,
    /// Device to compute with.
    #[arg(long, value_name = "DEVICE", help = device::name::HELP)]
    pub device: Option<DeviceName>,
    /// How it is used.
    #[command(flatten)]
    pub on_device: DeviceArgs,
    /// Keep the frozen matrices of the base model in f32, bf16 (half the memory) or int8 (a quarter); auto: as a GGUF
    /// file stores them, f32 for other files and on GPUs. A GPU takes bf16 with the same --dtype only.
    #[arg(long, value_name = "FORMAT", value_parser = parse_value::<WeightFormat>, default_value_t)]
    pub base_weights: WeightFormat,
    /// Multiply with the frozen matrices in f32, bf16 or f16, of which both factors are; everything else stays in f32. A
    /// GPU also keeps the matrices in this type. On the CPU, bf16 is for processors with AMX-BF16 or AVX512-BF16, and takes
    /// memory for copies of the matrices; f16 is for GPUs.
    #[arg(long, alias = "compute", value_name = "TYPE", value_parser = parse_value::<Compute>, default_value_t)]
    pub dtype: Compute,
}
