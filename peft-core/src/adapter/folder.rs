//! Reading and writing an adapter folder.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use super::{
    atomic,
    config::{AdapterConfig, PeftType},
    layout::{self, PROMPT_EMBEDDINGS},
    stored,
};
use crate::{
    error::{Error, Result},
    head::{Head, HeadLayout},
    method::NamedTensors,
    spec::ModelSpec,
    virtual_tokens::VirtualTokens,
};

pub(super) const CONFIG: &str = "adapter_config.json";
pub(super) const TENSORS: &str = "adapter_model.safetensors";
/// PEFT's prefix for the tensors of heads.
const BASE: &str = "base_model.";

/// A trained adapter: its config, the folded method's tensor and the head's.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// What is in `adapter_config.json`.
    pub config: AdapterConfig,
    /// `prompt_embeddings`, and the head's tensors under the names they have in the base: f32.
    pub tensors: NamedTensors,
}

/// The hexadecimal SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serialises named tensors as a safetensors file, with the metadata that PEFT expects.
///
/// # Errors
///
/// [`Error::Tensor`] for a type that such files do not hold.
pub fn to_safetensors(tensors: &NamedTensors, path: &Path) -> Result<Vec<u8>> {
    let views = tensors
        .iter()
        .map(|(name, data)| {
            let dtype = match data.dtype() {
                DType::F32 => Dtype::F32,
                DType::F64 => Dtype::F64,
                DType::I64 => Dtype::I64,
                other => {
                    return Err(Error::tensor(path, name, format!("cannot store {other:?}")));
                }
            };
            TensorView::new(dtype, data.shape().as_slice().to_vec(), data.as_bytes())
                .map(|view| (name.as_str(), view))
                .map_err(|error| Error::tensor(path, name, error.to_string()))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::file(path, error.to_string()))
}

/// Reads all float tensors of a safetensors file, widened to f32.
///
/// # Errors
///
/// [`Error::File`] where the file is malformed or truncated, [`Error::Tensor`] where a tensor is not of
/// floats.
pub fn from_safetensors(bytes: &[u8], path: &Path) -> Result<NamedTensors> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::file(path, format!("not a whole safetensors file: {error}")))?;
    file.iter()
        .map(|(name, view)| {
            let dtype = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::F64 => DType::F64,
                Dtype::F16 => DType::F16,
                Dtype::BF16 => DType::BF16,
                other => {
                    return Err(Error::tensor(
                        path,
                        name,
                        format!("found type {other:?}, expected F32, F16 or BF16"),
                    ));
                }
            };
            let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape(), dtype);
            Ok((name.to_string(), stored::widened(data)))
        })
        .collect()
}

/// Checks that there are virtual tokens, as many as the config says.
fn check_embeddings(tensors: &NamedTensors, config: &AdapterConfig, path: &Path) -> Result<()> {
    let embeddings = tensors.get(PROMPT_EMBEDDINGS).ok_or_else(|| {
        Error::tensor(path, PROMPT_EMBEDDINGS, "is missing: this is no prompt or prefix")
    })?;
    let shape = embeddings.shape().as_slice();
    if shape.len() != 2 || shape[0] != config.num_virtual_tokens {
        return Err(Error::tensor(
            path,
            PROMPT_EMBEDDINGS,
            format!(
                "has the shape {shape:?}, num_virtual_tokens in {CONFIG} is {}",
                config.num_virtual_tokens
            ),
        ));
    }
    Ok(())
}

impl Adapter {
    /// Whether `dir` holds an adapter.
    pub fn exists(dir: &Path) -> bool {
        dir.join(CONFIG).exists()
    }

    /// The two files of the folder `dir`, in the order in which they are to be written.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for P-tuning v1, which is only read.
    pub fn files(&self, dir: &Path) -> Result<[(PathBuf, Vec<u8>); 2]> {
        if self.config.peft_type == PeftType::PTuning {
            return Err(Error::Mismatch(format!(
                "{}: an adapter of the type P_TUNING is only read; `peft convert` makes one of the type \
                 PROMPT_TUNING of it",
                dir.display()
            )));
        }
        let named = |(name, data): (&String, &TensorData)| {
            let name =
                if name == PROMPT_EMBEDDINGS { name.clone() } else { format!("{BASE}{name}") };
            (name, data.clone())
        };
        let path = dir.join(TENSORS);
        let bytes = to_safetensors(&self.tensors.iter().map(named).collect(), &path)?;
        let mut config = self.config.clone();
        config.own.tensors_sha256 = Some(sha256(&bytes));
        let text = format!("{:#}\n", config.to_json());
        Ok([(dir.join(CONFIG), text.into_bytes()), (path, bytes)])
    }

    /// Writes the folder, made if it is missing. Both files are written before either takes the place of
    /// an old one. The config, which holds the SHA-256 of the tensors, is the first: a kill in between
    /// leaves a pair that [`load`](Self::load) refuses, also where the old one is PEFT's and holds none.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], and as [`files`](Self::files).
    pub fn save(&self, dir: &Path) -> Result<()> {
        let [(config, text), (tensors, bytes)] = self.files(dir)?;
        fs::create_dir_all(dir).map_err(Error::write(dir))?;
        atomic::write_files(&[(&config, &text), (&tensors, &bytes)])
    }

    /// Reads a folder written here or by PEFT: `adapter_model.safetensors`, else `adapter_model.bin`.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`] for a missing file; [`Error::Config`], [`Error::Tensor`] or [`Error::File`] naming
    /// what is wrong in it.
    pub fn load(dir: &Path) -> Result<Self> {
        let config_path = dir.join(CONFIG);
        let text = fs::read_to_string(&config_path).map_err(Error::read(&config_path))?;
        let json = serde_json::from_str(&text)
            .map_err(|error| Error::file(&config_path, format!("not JSON: {error}")))?;
        let submodules = stored::submodules(&json);
        let config = AdapterConfig::from_json(json, &config_path)?;
        let path = stored::path(dir)?;
        let bytes = fs::read(&path).map_err(Error::read(&path))?;
        if let Some(expected) = &config.own.tensors_sha256 {
            let found = sha256(&bytes);
            if found != *expected {
                return Err(Error::file(
                    &path,
                    format!(
                        "has the SHA-256 {found}, {CONFIG} expects {expected}: the file is damaged, \
                         or a save was interrupted"
                    ),
                ));
            }
        }
        let mut tensors = stored::parse(&bytes, &path)?;
        stored::keep_used_rows(&mut tensors, &config, submodules);
        if config.peft_type != PeftType::HeadOnly {
            check_embeddings(&tensors, &config, &path)?;
        }
        for (name, data) in &mut tensors {
            // f64 may be too large for f32.
            *data = data.clone().convert_dtype(DType::F32);
            if data.iter::<f32>().any(|number| !number.is_finite()) {
                return Err(Error::tensor(&path, name, "holds numbers that are not finite"));
            }
        }
        tensors = tensors
            .into_iter()
            .map(|(name, data)| match name.strip_prefix(BASE) {
                Some(inner) => (inner.to_string(), data),
                None => (name, data),
            })
            .collect();
        if config.peft_type == PeftType::HeadOnly && tensors.contains_key(PROMPT_EMBEDDINGS) {
            let message = format!(
                "is there, but an adapter of the peft_type {} in {CONFIG} has no virtual tokens",
                config.peft_type.name()
            );
            return Err(Error::tensor(&path, PROMPT_EMBEDDINGS, message));
        }
        Ok(Self { config, tensors })
    }

    /// The virtual tokens, on the plain `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where the adapter was made for a model of another geometry.
    pub fn virtual_tokens(&self, spec: &ModelSpec, device: &Device) -> Result<VirtualTokens> {
        let Some(data) = self.tensors.get(PROMPT_EMBEDDINGS) else {
            return Ok(VirtualTokens::none());
        };
        let shape = data.shape().as_slice().to_vec();
        let flat = Tensor::<2>::from_data(data.clone(), (device, data.dtype()));
        let p = self.config.num_virtual_tokens;
        if self.config.peft_type.is_prompt() {
            if shape[1] != spec.hidden_size {
                return Err(Error::Mismatch(format!(
                    "the adapter was made for another base model: its prompt has the shape \
                     {shape:?}, this {} model needs [{p}, {}]",
                    spec.model_type, spec.hidden_size
                )));
            }
            return Ok(VirtualTokens::embeddings(flat.unsqueeze()));
        }
        let site = spec.self_site()?;
        let layers = self.layers(site.num_layers)?;
        let width = layers.len() * site.kv_width();
        if shape[1] != width {
            return Err(Error::Mismatch(format!(
                "the adapter was made for another base model: its keys and values have the shape \
                 {shape:?}, this {} model with {} layers, {} key/value heads of size {} needs \
                 [{p}, {width}]",
                spec.model_type,
                layers.len(),
                site.num_kv_heads,
                site.head_dim
            )));
        }
        Ok(VirtualTokens::key_values(vec![layout::to_key_values(flat, site, &layers)]))
    }

    /// The layers that have virtual tokens, of a model with `num_layers`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a layer that the model does not have, or layers that are not in order.
    pub fn layers(&self, num_layers: usize) -> Result<Vec<usize>> {
        match (&self.config.own.layers, self.config.peft_type) {
            (Some(layers), PeftType::PrefixTuningLayers) => {
                if layers.is_empty() || !layers.is_sorted_by(|a, b| a < b) {
                    return Err(Error::Mismatch(format!(
                        "the adapter has virtual tokens for the layers {layers:?}, expected at least one, \
                         each once, in rising order"
                    )));
                }
                match layers.iter().find(|layer| **layer >= num_layers) {
                    Some(layer) => Err(Error::Mismatch(format!(
                        "the adapter has virtual tokens for layer {layer}, the model has layers 0 to {}",
                        num_layers - 1
                    ))),
                    None => Ok(layers.clone()),
                }
            }
            _ => Ok((0..num_layers).collect()),
        }
    }

    /// The trained head, where the adapter has one.
    ///
    /// # Errors
    ///
    /// As [`Head::from_state`], and for a tensor of a head that `layout` does not have.
    pub fn head(
        &self,
        layout: HeadLayout,
        spec: &ModelSpec,
        device: &Device,
    ) -> Result<Option<Head>> {
        layout.check_no_other(&self.tensors)?;
        if !self.tensors.contains_key(&format!("{}.weight", layout.name)) {
            return Ok(None);
        }
        Head::from_state(layout, spec.hidden_size, &self.tensors, device).map(Some)
    }
}
