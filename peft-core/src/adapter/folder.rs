//! Reading and writing an adapter folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::TensorData;

use super::{
    atomic,
    codec::{finite_f32, sha256, to_safetensors},
    config::{AdapterConfig, CONFIG},
    config_sum,
    elsewhere::not_an_adapter,
    own_fields::OWN,
    own_file::{self, OWN_FILE},
    stored::{self, TENSORS},
};
use crate::{
    contract::{
        layout::{self, PROMPT_EMBEDDINGS, is_virtual},
        peft_type::PeftType,
        tensors::NamedTensors,
    },
    error::{Error, Result},
    formats::read,
};

/// PEFT's prefix for the tensors of heads.
const BASE: &str = "base_model.";

/// A trained adapter: its config, the tensor of the folded method and the tensors of the head.
///
/// # Examples
///
/// A folder that this program or Python's `peft` wrote, as virtual tokens for a model:
///
/// ```
/// use std::path::Path;
///
/// use burn::tensor::Device;
/// use peft_core::{Adapter, FrozenModel, Result, VirtualTokens};
///
/// fn tokens_of(folder: &Path, model: &dyn FrozenModel) -> Result<VirtualTokens> {
///     let adapter = Adapter::load(folder)?;
///     println!("{} virtual tokens", adapter.config.num_virtual_tokens);
///     adapter.virtual_tokens(model.spec(), &Device::default())
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// The content of `adapter_config.json`.
    pub config: AdapterConfig,
    /// `prompt_embeddings`, and the tensors of the head under their names in the base model; f32.
    pub tensors: NamedTensors,
}

/// Checks that there are as many virtual tokens as the config says.
fn check_embeddings(tensors: &NamedTensors, config: &AdapterConfig, path: &Path) -> Result<()> {
    let sites = config.own.sites.as_deref().unwrap_or_default();
    let expected = match config.peft_type {
        PeftType::HeadOnly => Vec::new(),
        PeftType::PrefixTuningSites => sites.iter().map(|site| layout::tensor_of(*site)).collect(),
        _ => vec![PROMPT_EMBEDDINGS.to_string()],
    };
    if let Some(name) = tensors.keys().find(|name| is_virtual(name) && !expected.contains(name)) {
        let message = format!(
            "is present, but an adapter with the peft_type {} in {CONFIG} has {}",
            config.peft_type.name(),
            match expected.as_slice() {
                [] => "no virtual tokens".to_string(),
                names => names.join(", "),
            }
        );
        return Err(Error::tensor(path, name, message));
    }
    for name in &expected {
        let embeddings = tensors
            .get(name)
            .ok_or_else(|| Error::tensor(path, name, "is missing: not a prompt or prefix"))?;
        let shape = embeddings.shape().as_slice();
        if shape.len() != 2 || shape[0] != config.num_virtual_tokens {
            let message = format!(
                "has the shape {shape:?}, but num_virtual_tokens in {CONFIG} is {}",
                config.num_virtual_tokens
            );
            return Err(Error::tensor(path, name, message));
        }
    }
    Ok(())
}

impl Adapter {
    /// The names of the files of a folder, in the order in which they must be written.
    pub const FILES: [&str; 3] = [OWN_FILE, CONFIG, TENSORS];

    /// The file that makes a folder an adapter.
    pub const CONFIG: &str = CONFIG;

    /// Whether `dir` holds an adapter.
    pub fn exists(dir: &Path) -> bool {
        dir.join(CONFIG).exists()
    }

    /// The [`FILES`](Self::FILES) of the folder `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] for a type that safetensors files do not support.
    pub fn files(&self, dir: &Path) -> Result<[(PathBuf, Vec<u8>); 3]> {
        let named = |(name, data): (&String, &TensorData)| {
            let name = if is_virtual(name) { name.clone() } else { format!("{BASE}{name}") };
            (name, data.clone())
        };
        let path = dir.join(TENSORS);
        let bytes = to_safetensors(&self.tensors.iter().map(named).collect(), &path)?;
        let bytes = own_file::marked(bytes);
        let mut config = self.config.clone();
        config.own.tensors_sha256 = Some(sha256(&bytes));
        let mut json = config.to_json();
        config_sum::add(&mut json);
        let own = json[OWN].take();
        if let Some(fields) = json.as_object_mut() {
            fields.remove(OWN);
        }
        let text = |json| format!("{json:#}\n").into_bytes();
        Ok([(dir.join(OWN_FILE), text(own)), (dir.join(CONFIG), text(json)), (path, bytes)])
    }

    /// Writes the folder, creating it if missing. All files are written before any replaces an old
    /// one. Our own, which holds the SHA-256 of the tensors, is replaced first: a kill in between
    /// leaves a folder that [`load`](Self::load) rejects, even if the old adapter is PEFT's and
    /// holds no SHA-256.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], and as for [`files`](Self::files).
    pub fn save(&self, dir: &Path) -> Result<()> {
        let files = self.files(dir)?;
        fs::create_dir_all(dir).map_err(Error::write(dir))?;
        atomic::write_files(
            &files.each_ref().map(|(path, bytes)| (path.as_path(), bytes.as_slice())),
        )
    }

    /// Reads a folder written by this crate or by PEFT: `adapter_model.safetensors`, else
    /// `adapter_model.bin`. A config that was edited is read as it stands; [`config_sum::is_changed`]
    /// tells it.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`] for a missing file, naming the folder that was probably
    /// meant; [`Error::Config`], [`Error::Tensor`]
    /// or [`Error::File`] naming what is wrong in it.
    pub fn load(dir: &Path) -> Result<Self> {
        let config_path = dir.join(CONFIG);
        if dir.exists() && !config_path.exists() {
            return Err(not_an_adapter(dir));
        }
        let json = own_file::joined(dir)?;
        config_sum::check_key(&json, &config_path)?;
        let path = stored::path(dir)?;
        let bytes = read::bytes(&path)?;
        own_file::check_there(dir, &json, &bytes)?;
        let own = own_file::file_of(dir);
        let submodules = stored::submodules(&json);
        let config = AdapterConfig::from_json(json, &config_path, &dir.join(own))?;
        if let Some(expected) = &config.own.tensors_sha256 {
            let found = sha256(&bytes);
            if found != *expected {
                let foreign = match own {
                    OWN_FILE => format!(
                        ", or another program wrote it (without {OWN_FILE} the folder is read as one of PEFT's)"
                    ),
                    _ => String::new(),
                };
                return Err(Error::file(
                    &path,
                    format!(
                        "has the SHA-256 {found}, {own} expects {expected}: the file is damaged, \
                         or a save was interrupted{foreign}"
                    ),
                ));
            }
        }
        let mut tensors = stored::parse(&bytes, &path)?;
        stored::keep_used_rows(&mut tensors, &config, submodules);
        check_embeddings(&tensors, &config, &path)?;
        for (name, data) in &mut tensors {
            *data = finite_f32(data.clone(), name, &path)?;
        }
        tensors = tensors
            .into_iter()
            .map(|(name, data)| match name.strip_prefix(BASE) {
                Some(inner) => (inner.to_string(), data),
                None => (name, data),
            })
            .collect();
        Ok(Self { config, tensors })
    }
}
