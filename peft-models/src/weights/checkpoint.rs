//! The tensors of one model, by the names that a family asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Device, Tensor};
use peft_core::{Error, NamedTensors, Result};

use super::{
    LM_HEAD, LoadReport, Matrix, WeightFormat, files::Files, is_classifier, report::fingerprint,
    source::Source,
};

/// The tensors of one model on their way to a device.
///
/// A family asks for each tensor by name and shape. What it did not ask for is surplus, and an error unless the family
/// says that it may be skipped: see [`Weights::finish`].
#[derive(Debug)]
pub struct Weights {
    source: Source,
    path: PathBuf,
    device: Device,
    dtype: DType,
    format: WeightFormat,
    /// Prefixes that a checkpoint may put before all names of the backbone: `bert.`.
    prefixes: Vec<&'static str>,
    /// The spellings of the tensors taken, by their canonical names.
    used: BTreeMap<String, String>,
    parameters: usize,
}

impl Weights {
    fn new(source: Source, path: PathBuf, device: &Device, dtype: DType) -> Self {
        Self {
            source,
            path,
            device: device.clone().without_autodiff(),
            dtype,
            format: WeightFormat::F32,
            prefixes: Vec::new(),
            used: BTreeMap::new(),
            parameters: 0,
        }
    }

    /// Opens `model.safetensors` of a folder, or the shards that `model.safetensors.index.json` lists.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`] naming the file that is missing, truncated or malformed.
    pub fn open(dir: &Path, device: &Device, dtype: DType) -> Result<Self> {
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

    /// Sets the format in which large matrices are kept.
    #[must_use]
    pub(crate) fn with_format(mut self, format: WeightFormat) -> Self {
        self.format = format;
        self
    }

    /// The format in which large matrices are kept.
    pub(crate) fn format(&self) -> WeightFormat {
        self.format
    }

    /// A large matrix that must be there, in the chosen format.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`take`](Self::take).
    pub(crate) fn take_matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix> {
        Ok(Matrix::new(self.take(name, shape)?, self.format))
    }

    /// Accepts names with or without `prefix`, which some checkpoints write and others do not. May be called for several
    /// prefixes; the first is the usual one.
    #[must_use]
    pub fn with_optional_prefix(mut self, prefix: &'static str) -> Self {
        self.prefixes.push(prefix);
        self
    }

    /// The spelling under which the source has a tensor: with or without a prefix, and with the old names of a norm's
    /// parameters.
    fn find(&self, name: &str) -> Option<String> {
        let old = name
            .strip_suffix("LayerNorm.weight")
            .map(|stem| format!("{stem}LayerNorm.gamma"))
            .or_else(|| {
                name.strip_suffix("LayerNorm.bias").map(|stem| format!("{stem}LayerNorm.beta"))
            });
        [Some(name.to_string()), old].into_iter().flatten().find_map(|name| {
            let prefixes = std::iter::once("").chain(self.prefixes.iter().copied());
            prefixes
                .map(|prefix| format!("{prefix}{name}"))
                .find(|spelling| self.source.contains(spelling))
        })
    }

    /// One name for all spellings: that of a checkpoint with a head, where the backbone has the prefix and the head has
    /// none.
    fn canonical(&self, name: &str) -> String {
        let is_head = is_classifier(name)
            || name.split_once('.').is_some_and(|(module, _)| module == LM_HEAD);
        let prefix = if is_head { "" } else { self.prefixes.first().unwrap_or(&"") };
        format!("{prefix}{name}")
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] naming it if it is missing, misshapen, or not of floats.
    pub fn take<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Tensor<D>> {
        match self.take_optional(name, shape)? {
            Some(tensor) => Ok(tensor),
            None => Err(Error::tensor(
                &self.path,
                name,
                format!("is missing, expected the shape {shape:?}"),
            )),
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
        self.take_spelled(name, name, shape)
    }

    /// A tensor that must be there, under one of several names of which the first is the usual one. If several are
    /// there, they must be equal.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] as [`take`](Self::take), and if two of them differ.
    pub fn take_one_of<const D: usize>(
        &mut self,
        names: [&str; 3],
        shape: [usize; D],
    ) -> Result<Tensor<D>> {
        let there: Vec<&str> =
            names.into_iter().filter(|name| self.shape(name).is_some()).collect();
        let chosen = there.first().copied().unwrap_or(names[0]);
        for other in there.iter().skip(1) {
            if !self.are_equal(chosen, other)? {
                let message = format!("differs from `{chosen}`, which is the same tensor");
                return Err(self.error(other, &message));
            }
        }
        match self.take_spelled(names[0], chosen, shape)? {
            Some(tensor) => Ok(tensor),
            None => self.take(chosen, shape),
        }
    }

    /// Whether two tensors are there and equal, bit by bit.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the file cannot be read.
    pub fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        let (Some(one), Some(other)) = (self.find(one), self.find(other)) else { return Ok(false) };
        self.source.are_equal(&one, &other)
    }

    /// The tensor `name`, which the source has under the name `chosen`.
    fn take_spelled<const D: usize>(
        &mut self,
        name: &str,
        chosen: &str,
        shape: [usize; D],
    ) -> Result<Option<Tensor<D>>> {
        let Some(spelling) = self.find(chosen) else { return Ok(None) };
        // What is kept in another format is read, used once and dropped.
        let in_place = self.format == WeightFormat::F32;
        let data = self.source.read(&spelling, name, &shape, self.dtype, in_place)?;
        if data.shape().as_slice() != shape {
            return Err(Error::tensor(
                &self.path,
                spelling,
                format!(
                    "has the shape {:?}, config.json expects {shape:?}",
                    data.shape().as_slice()
                ),
            ));
        }
        self.used.insert(self.canonical(name), spelling);
        self.parameters += shape.iter().product::<usize>();
        let tensor = Tensor::from_data(data.convert_dtype(self.dtype), (&self.device, self.dtype));
        Ok(Some(tensor))
    }

    /// An error about a tensor.
    pub fn error(&self, name: &str, message: &str) -> Error {
        Error::tensor(&self.path, self.find(name).unwrap_or_else(|| name.to_string()), message)
    }

    /// The shape of a tensor in the source; `None` if it is missing.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let spelling = self.find(name)?;
        self.source.shape(&spelling)
    }

    /// The type that the model computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device that the tensors go to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Checks that nothing is left over but what `may_skip` allows.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] naming a surplus tensor.
    pub fn finish(&self, may_skip: impl Fn(&str) -> bool) -> Result<LoadReport> {
        let used: BTreeSet<&String> = self.used.values().collect();
        let names = self.source.names().into_iter();
        let skipped: Vec<String> = names.filter(|name| !used.contains(name)).collect();
        let bare = |name: &str| -> String {
            let prefix = self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
            prefix.unwrap_or(name).to_string()
        };
        if let Some(surplus) = skipped.iter().find(|name| !may_skip(&bare(name))) {
            return Err(Error::tensor(
                &self.path,
                surplus,
                "is not a part of this architecture, as config.json describes it",
            ));
        }
        let fingerprint = match &self.source {
            Source::Files(files) => Some(fingerprint(files, &self.used)?),
            _ => None,
        };
        Ok(LoadReport { skipped, num_parameters: self.parameters, fingerprint })
    }
}
