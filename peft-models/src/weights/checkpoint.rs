//! The tensors of one model, by the names that a family asks for.
//!
//! | file | what it is |
//! |---|---|
//! | `names` | what tensors are called in a source |
//! | `matrices` | large matrices, in the format in which they are kept |
//! | `finite` | numbers that are refused |
//! | `finish` | what was not asked for, and the report |

mod finish;
mod finite;
mod matrices;
mod names;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{Error, NamedTensors, Result, formats::gguf::gguf_of};

use super::{
    WeightFormat, files::Files, gguf_files::GgufFiles, on_their_way::OnTheirWay, source::Source,
};
use crate::{compute::Compute, kernels, options::LoadOptions};

/// The tensors of one model on their way to a device.
///
/// A family asks for each tensor by name and shape. What it did not ask for is surplus, and an error unless the family
/// says that it may be skipped: see [`Weights::finish`].
#[derive(Debug)]
pub struct Weights {
    source: Arc<Source>,
    path: PathBuf,
    device: Device,
    dtype: DType,
    format: WeightFormat,
    compute: Compute,
    /// Whether tensors may be views of a file.
    in_place: bool,
    on_their_way: OnTheirWay,
    /// The type of 16 bits that large matrices are kept in for products.
    reduced: Option<DType>,
    /// Prefixes that a checkpoint may put before all names of the backbone: `bert.`.
    prefixes: Vec<&'static str>,
    /// The spellings of the tensors taken, by their canonical names.
    used: BTreeMap<String, String>,
    parameters: usize,
}

impl Weights {
    fn new(source: Source, path: PathBuf, device: &Device, dtype: DType) -> Self {
        let device = device.clone().without_autodiff();
        Self {
            in_place: kernels::unavailable(&device).is_none(),
            on_their_way: OnTheirWay::new(source.largest_file()),
            source: Arc::new(source),
            path,
            device,
            dtype,
            format: WeightFormat::default(),
            compute: Compute::default(),
            reduced: None,
            prefixes: Vec::new(),
            used: BTreeMap::new(),
            parameters: 0,
        }
    }

    /// Opens a GGUF file, the only one of a folder, or `model.safetensors` of a folder, or the shards that
    /// `model.safetensors.index.json` lists; else `pytorch_model.bin`, or the shards of `pytorch_model.bin.index.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`] naming the file that is missing, truncated or malformed.
    pub fn open(dir: &Path, device: &Device, dtype: DType) -> Result<Self> {
        if let Some(path) = gguf_of(dir)? {
            let files = GgufFiles::open(&path)?;
            return Ok(Self::new(Source::Gguf(files), path, device, dtype));
        }
        let files = Files::open(dir)?;
        let path = files.path().to_path_buf();
        Ok(Self::new(Source::Files(files), path, device, dtype))
    }

    /// Tensors in memory.
    pub fn memory(tensors: NamedTensors, device: &Device, dtype: DType) -> Self {
        Self::new(Source::Memory(tensors), PathBuf::from("(memory)"), device, dtype)
    }

    /// Random tensors for tests: each that is asked for, drawn from N(0, std²), and scales of norms from N(1, std²).
    pub fn random(seed: u64, std: f64, device: &Device, dtype: DType) -> Self {
        Self::new(Source::Random { seed, std }, PathBuf::from("(random)"), device, dtype)
    }

    /// Copies every tensor out of its file, as other devices than the CPU get them, where the CPU would read it in place.
    #[must_use]
    pub fn copied(mut self) -> Self {
        self.in_place = false;
        self
    }

    /// Sets the format in which large matrices are kept, and how they are multiplied.
    #[must_use]
    pub(crate) fn with_options(mut self, options: LoadOptions) -> Self {
        (self.format, self.compute) = (options.weights, options.compute);
        self.reduced = options.kept_in(&self.device);
        self
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] naming it if it is missing, misshapen, or not of floats.
    pub fn take<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Tensor<D>> {
        match self.take_optional(name, shape)? {
            Some(tensor) => Ok(tensor),
            None => Err(self.missing(name, &shape)),
        }
    }

    /// A tensor that may be missing, such as a head.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] naming it if it is there but misshapen or not of floats.
    pub fn take_optional<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Option<Tensor<D>>> {
        let data = self.take_data(name, name, &shape, self.dtype)?;
        Ok(data.map(|data| Tensor::from_data(data, (&self.device, self.dtype))))
    }

    /// The numbers of the tensor `name`, which the source has under the name `chosen`, in a type, on the host.
    fn take_data(
        &mut self,
        name: &str,
        chosen: &str,
        shape: &[usize],
        dtype: DType,
    ) -> Result<Option<TensorData>> {
        let Some(spelling) = self.find(chosen) else { return Ok(None) };
        let bytes = shape.iter().product::<usize>().saturating_mul(dtype.size());
        if !self.in_place && self.on_their_way.add(bytes) {
            self.wait()?;
        }
        // What is kept in another format is read, used once and dropped.
        let in_place = self.in_place && !self.format.is_rounded();
        // In 16 bits, numbers are used as they are stored, or rounded once.
        let is_rounded = dtype != self.dtype && !self.source.is_stored_as(&spelling, dtype);
        let as_read = if is_rounded { self.dtype } else { dtype };
        let data = self.source.read(&spelling, name, shape, as_read, in_place)?;
        self.check_shape(&spelling, data.shape().as_slice(), shape)?;
        self.check_finite(&spelling, &data)?;
        let data = self.narrowed(&spelling, data, dtype)?;
        self.note_use(name, spelling, shape);
        Ok(Some(data))
    }

    /// Waits until the device has what it was given, whose copies on the host are then gone.
    fn wait(&self) -> Result<()> {
        let unread = |error| Error::Mismatch(format!("cannot copy weights to the device: {error}"));
        self.device.sync().map_err(unread)
    }

    fn missing(&self, name: &str, shape: &[usize]) -> Error {
        let message = format!("is missing, expected the shape {shape:?}");
        let message = match self.around(name) {
            Some((outer, stored)) => format!(
                "{message}. The file has it as `{stored}`, in a module around the model: save the tensors without \
                 `{outer}` in front of their names, in Python {{k.removeprefix(\"{outer}\"): v for k, v in state.items() if \
                 k.startswith(\"{outer}\")}}"
            ),
            None => message,
        };
        Error::tensor(&self.path, name, message)
    }

    /// Where the file has a tensor in a module that holds the model, such as Lightning's: what stands in front of the names
    /// of the model, and the tensor's name there.
    fn around(&self, name: &str) -> Option<(String, String)> {
        let end = format!(".{name}");
        let stored = self.source.names().into_iter().find(|stored| stored.ends_with(&end))?;
        let outer = stored.strip_suffix(name)?;
        let mut inner = self.prefixes.iter().filter_map(|prefix| outer.strip_suffix(prefix));
        let outer = inner.rfind(|outer| !outer.is_empty()).unwrap_or(outer);
        Some((outer.to_string(), stored))
    }

    fn check_shape(&self, spelling: &str, found: &[usize], expected: &[usize]) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let config = self.described_by();
        let message = format!("has the shape {found:?}, {config} expects {expected:?}");
        Err(Error::tensor(&self.path, spelling, message))
    }

    /// What describes the model.
    fn described_by(&self) -> &'static str {
        match *self.source {
            Source::Gguf(_) => "its metadata",
            _ => "config.json",
        }
    }

    /// An error about a tensor.
    pub fn error(&self, name: &str, message: &str) -> Error {
        Error::tensor(&self.path, self.find(name).unwrap_or_else(|| name.to_string()), message)
    }

    /// Notes that a tensor is part of the model.
    fn note_use(&mut self, name: &str, spelling: String, shape: &[usize]) {
        self.used.insert(self.canonical(name), spelling);
        self.parameters += shape.iter().product::<usize>();
    }

    /// In which type large matrices are multiplied.
    pub(crate) fn compute(&self) -> Compute {
        self.compute
    }

    /// The type that the model computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device that the tensors go to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The files that they are read from, if they are in files.
    pub(crate) fn files(&self) -> Option<Arc<Source>> {
        matches!(*self.source, Source::Files(_) | Source::Gguf(_)).then(|| self.source.clone())
    }
}
