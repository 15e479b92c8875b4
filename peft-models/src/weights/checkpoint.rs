//! The tensors of one model, by the names that a family asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::{AllocationProperty, DType, Device, Element, Tensor, TensorData, bf16, f16};
use peft_core::{Error, NamedTensors, Result, formats::gguf::gguf_of};

use super::{
    LM_HEAD, LoadReport, Matrix, WeightFormat,
    files::Files,
    gguf_files::{GgufFiles, StoredRows},
    head_names::is_classifier,
    identity::fingerprint,
    narrow::narrowed,
    on_their_way::OnTheirWay,
    source::Source,
    surplus::{self, is_constant, is_other_head},
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

    /// In which type large matrices are multiplied.
    pub(crate) fn compute(&self) -> Compute {
        self.compute
    }

    /// A large matrix that must be there, in the chosen format.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`take`](Self::take).
    pub(crate) fn take_matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix> {
        match self.take_stored(name, name, shape)? {
            Some(matrix) => Ok(matrix),
            None => {
                let found = self.take_as(name, name, shape, self.of_matrices())?;
                let tensor = found.ok_or_else(|| self.missing(name, &shape))?;
                Ok(self.matrix(tensor))
            }
        }
    }

    /// As [`take_matrix`](Self::take_matrix), of a matrix `[out, in]` that transformers stores as `[in, out]`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`take`](Self::take).
    pub(crate) fn take_transposed(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Matrix> {
        if self.find(name).is_some_and(|spelling| self.source.is_transposed(&spelling)) {
            return self.take_matrix(name, [rows, columns]);
        }
        let shape = [columns, rows];
        let found = self.take_as(name, name, shape, self.of_matrices())?;
        let tensor = found.ok_or_else(|| self.missing(name, &shape))?;
        Ok(self.matrix(tensor.transpose()))
    }

    /// As [`take_matrix`](Self::take_matrix), of a matrix with one of several names, as in
    /// [`take_one_of`](Self::take_one_of).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`take_one_of`](Self::take_one_of).
    pub(crate) fn take_matrix_of(&mut self, names: [&str; 3], shape: [usize; 2]) -> Result<Matrix> {
        let chosen = self.one_of(names)?;
        match self.take_stored(names[0], chosen, shape)? {
            Some(matrix) => Ok(matrix),
            None => {
                let found = self.take_as(names[0], chosen, shape, self.of_matrices())?;
                let tensor = found.ok_or_else(|| self.missing(chosen, &shape))?;
                Ok(self.matrix(tensor))
            }
        }
    }

    /// The type in which large matrices are read.
    fn of_matrices(&self) -> DType {
        self.reduced.unwrap_or(self.dtype)
    }

    /// A large matrix that was read in that type, as it is kept.
    fn matrix(&self, tensor: Tensor<2>) -> Matrix {
        match self.reduced {
            Some(_) => Matrix::Reduced(tensor),
            None => Matrix::new(tensor, self.format),
        }
    }

    /// The matrix `name`, which the source has under the name `chosen`, as a file stores it, if it stays so.
    fn take_stored(
        &mut self,
        name: &str,
        chosen: &str,
        shape: [usize; 2],
    ) -> Result<Option<Matrix>> {
        let stays = self.in_place
            && self.format == WeightFormat::Auto
            && kernels::reads_stored(&self.device);
        let Some(spelling) = self.find(chosen).filter(|_| stays) else { return Ok(None) };
        let Some(rows) = self.source.stored_rows(&spelling)? else { return Ok(None) };
        self.check_shape(&spelling, &rows.sizes, &shape)?;
        self.note_use(name, spelling, &shape);
        let StoredRows { kind, sizes, bytes } = rows;
        Ok(Some(Matrix::Stored { kind, sizes, bytes, device: self.device.clone() }))
    }

    /// Accepts names with or without `prefix`, which some checkpoints write and others do not. May be called for
    /// several prefixes; the first is the usual one.
    #[must_use]
    pub fn with_optional_prefix(mut self, prefix: &'static str) -> Self {
        self.prefixes.push(prefix);
        self
    }

    /// A tensor of the files in f32, by its name there or in another checkpoint of the model: names of a module around
    /// the model may stand in front of either. `None` if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the file cannot be read, [`Error::Tensor`] if the tensor is not of floats.
    pub fn stored(&self, name: &str) -> Result<Option<TensorData>> {
        let inner = std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1));
        let own = inner.filter(|name| name.contains('.')).find_map(|name| self.find(name));
        let longer = || {
            let end = format!(".{name}");
            self.source.names().into_iter().find(|stored| stored.ends_with(&end))
        };
        let Some(spelling) = own.or_else(longer) else { return Ok(None) };
        let shape = self.source.shape(&spelling).unwrap_or_default();
        self.source.read(&spelling, name, &shape, DType::F32, false).map(Some)
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
            None => Err(self.missing(name, &shape)),
        }
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
        let inner = self.prefixes.iter().filter_map(|prefix| outer.strip_suffix(prefix));
        let outer = inner.filter(|outer| !outer.is_empty()).next_back().unwrap_or(outer);
        Some((outer.to_string(), stored))
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
        self.take_as(name, name, shape, self.dtype)
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
        let chosen = self.one_of(names)?;
        match self.take_as(names[0], chosen, shape, self.dtype)? {
            Some(tensor) => Ok(tensor),
            None => self.take(chosen, shape),
        }
    }

    /// The first of several names under which a tensor is there, else the first of all.
    fn one_of<'a>(&self, names: [&'a str; 3]) -> Result<&'a str> {
        let there: Vec<&str> =
            names.into_iter().filter(|name| self.shape(name).is_some()).collect();
        let chosen = there.first().copied().unwrap_or(names[0]);
        for other in there.iter().skip(1) {
            if !self.are_equal(chosen, other)? {
                let message = format!("differs from `{chosen}`, which is the same tensor");
                return Err(self.error(other, &message));
            }
        }
        Ok(chosen)
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

    /// The tensor `name`, which the source has under the name `chosen`, in a type.
    fn take_as<const D: usize>(
        &mut self,
        name: &str,
        chosen: &str,
        shape: [usize; D],
        dtype: DType,
    ) -> Result<Option<Tensor<D>>> {
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
        let data = self.source.read(&spelling, name, &shape, as_read, in_place)?;
        self.check_shape(&spelling, data.shape().as_slice(), &shape)?;
        self.check_finite(&spelling, &data)?;
        let data = self.narrowed(&spelling, data, dtype)?;
        self.note_use(name, spelling, &shape);
        Ok(Some(Tensor::from_data(data, (&self.device, dtype))))
    }

    /// In a type; refuses numbers of a file that are not finite in it.
    fn narrowed(&self, spelling: &str, data: TensorData, dtype: DType) -> Result<TensorData> {
        narrowed(data, dtype).map_err(|found| {
            let path = self.source.file_of(spelling).unwrap_or(&self.path);
            if !found.is_finite() {
                return self.not_finite(spelling, found);
            }
            let message = format!(
                "holds {found}, which {} has no number for: choose another `dtype`",
                dtype.name()
            );
            Error::tensor(path, spelling, message)
        })
    }

    /// Waits until the device has what it was given, whose copies on the host are then gone.
    fn wait(&self) -> Result<()> {
        let unread = |error| Error::Mismatch(format!("cannot copy weights to the device: {error}"));
        self.device.sync().map_err(unread)
    }

    fn check_shape(&self, spelling: &str, found: &[usize], expected: &[usize]) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let config = self.described_by();
        let message = format!("has the shape {found:?}, {config} expects {expected:?}");
        Err(Error::tensor(&self.path, spelling, message))
    }

    /// Refuses numbers that are not finite in what loading reads: all that is converted, and lists of numbers. A matrix
    /// that stays a view of its file is not read yet; the scores that it leads to tell.
    fn check_finite(&self, spelling: &str, data: &TensorData) -> Result<()> {
        let is_view = data.bytes().property() == AllocationProperty::File;
        let is_read = !is_view || data.shape().as_slice().len() == 1;
        let is_file = self.files().is_some();
        // Minus infinity there rules a token out.
        let rules_out = spelling.ends_with("final_logits_bias");
        let is_good = |x: f32| x.is_finite() || (rules_out && x == f32::NEG_INFINITY);
        if !is_file || !is_read {
            return Ok(());
        }
        let bad = match data.dtype() {
            DType::F32 => first_bad(data, is_good),
            DType::BF16 => first_bad(data, |x: bf16| is_good(x.to_f32())).map(bf16::to_f32),
            DType::F16 => first_bad(data, |x: f16| is_good(x.to_f32())).map(f16::to_f32),
            _ => data.iter::<f32>().find(|x| !is_good(*x)),
        };
        bad.map_or(Ok(()), |found| Err(self.not_finite(spelling, found)))
    }

    fn not_finite(&self, spelling: &str, found: f32) -> Error {
        let path = self.source.file_of(spelling).unwrap_or(&self.path);
        let message = format!(
            "holds {found}, which no score can be computed with: the file is damaged, or the training that wrote it diverged"
        );
        Error::tensor(path, spelling, message)
    }

    /// What describes the model.
    fn described_by(&self) -> &'static str {
        match *self.source {
            Source::Gguf(_) => "its metadata",
            _ => "config.json",
        }
    }

    /// Whether a tensor was taken, under whatever name.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.find(name).is_some_and(|spelling| self.used.values().any(|used| *used == spelling))
    }

    /// Notes that a tensor is part of the model.
    fn note_use(&mut self, name: &str, spelling: String, shape: &[usize]) {
        self.used.insert(self.canonical(name), spelling);
        self.parameters += shape.iter().product::<usize>();
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

    /// The files that they are read from, if they are in files.
    pub(crate) fn files(&self) -> Option<Arc<Source>> {
        matches!(*self.source, Source::Files(_) | Source::Gguf(_)).then(|| self.source.clone())
    }

    /// The device that the tensors go to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Checks that nothing is left over but heads of other tasks, constants, layers beyond those of the model, which
    /// transformers skips too, and what `may_skip` allows: the name without a prefix.
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
        let may_be_there = |name: &str| is_other_head(name) || is_constant(name) || may_skip(name);
        let mut more_layers = BTreeMap::new();
        for name in skipped.iter().filter(|name| !may_be_there(&bare(name))) {
            let Some(layer) = surplus::layer_beyond(name, &used) else {
                let message = format!(
                    "is not a part of this architecture, as {} describes it",
                    self.described_by()
                );
                return Err(Error::tensor(&self.path, name, message));
            };
            *more_layers.entry(layer).or_default() += 1;
        }
        let fingerprint = fingerprint(&self.source, &self.used)?;
        let heads: Vec<String> = skipped
            .iter()
            .map(|name| bare(name))
            .filter(|name| is_other_head(name) && !may_skip(name))
            .collect();
        let other_heads = surplus::modules(heads.iter().map(String::as_str));
        Ok(LoadReport {
            skipped,
            other_heads,
            more_layers,
            num_parameters: self.parameters,
            fingerprint,
            tensors: self.used.clone(),
        })
    }
}

/// The first number of these data that is not good.
fn first_bad<T: Element>(data: &TensorData, is_good: impl Fn(T) -> bool) -> Option<T> {
    // Without an end in the middle of a part, the compiler makes vectors of it.
    let mut parts = data.as_slice::<T>().unwrap_or_default().chunks(1 << 12);
    let part = parts.find(|part| !part.iter().fold(true, |good, x| good & is_good(*x)));
    part.and_then(|part| part.iter().copied().find(|x| !is_good(*x)))
}
