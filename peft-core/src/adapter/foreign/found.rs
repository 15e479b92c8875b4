//! What was found in a file of other code, and the adapter it becomes on a base model.

use std::path::Path;

use burn::tensor::{Device, TensorData};
use serde_json::{Map, Value};

use super::{
    layouts::{self, Layout, Rows},
    source::Source,
    surplus::{self, Surplus, TensorsByName},
};
use crate::{
    adapter::{config::AdapterConfig, folder::Adapter, own_fields::OwnFields, prompt_file},
    contract::{
        layout::{PROMPT_EMBEDDINGS, tensor_of},
        method_fields::{MethodFields, StoredSites},
        peft_type::PeftType,
        pooling::Pooling,
        spec::{ModelSpec, Site, SiteSpec},
        task::Task,
        tensors::NamedTensors,
        virtual_tokens::PrefixPositions,
    },
    error::{Error, Result},
};

/// What a file holds.
pub struct Found {
    source: Source,
    layout: Layout,
    rows: Rows,
    surplus: Surplus,
}

/// The base model that the virtual tokens are for.
#[derive(Clone, Debug, Default)]
pub struct Base<'a> {
    /// Its name or path, for the config.
    pub name: Option<String>,
    /// Its geometry, which the virtual tokens have to fit.
    pub spec: Option<&'a ModelSpec>,
    /// P, where the file does not say.
    pub num_virtual_tokens: Option<usize>,
}

/// Reads `.npy`, `.safetensors`, `.bin`, `.pt`, `.pth` or `.ckpt`, or the tensors of a folder without
/// `adapter_config.json`. Layers that make virtual tokens are applied, on `device`.
///
/// # Errors
///
/// [`Error::Read`], [`Error::File`] or [`Error::Tensor`] naming what was found, the layouts that are known, or the tensor that
/// does not belong there.
pub fn read(path: &Path, device: &Device) -> Result<Found> {
    let source = Source::open(path)?;
    let read = layouts::read(&source, device)?;
    let surplus = surplus::sort(&source, &read.used)?;
    Ok(Found { source, layout: read.layout, rows: read.rows, surplus })
}

impl Found {
    /// What wrote it, for a person.
    pub fn layout(&self) -> &'static str {
        self.layout.name()
    }

    /// The tensors that are not used: those of the base model.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.surplus.backbone.iter().map(String::as_str)
    }

    /// Checks that those of them that the base model has too hold the same values, and returns how many do.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] naming one that differs: what was trained there would be lost.
    pub fn check_skipped(&self, base: TensorsByName<'_>) -> Result<usize> {
        surplus::compare(&self.source, &self.surplus.backbone, base)
    }

    /// Whether nothing says whether its rows are a prompt or a prefix: without a base model it is taken as a prompt.
    pub fn is_prompt_or_prefix(&self) -> bool {
        matches!(self.rows, Rows::Either(_))
    }

    /// The task that the file names by its head.
    pub fn task(&self) -> Option<Task> {
        self.surplus
            .head
            .keys()
            .any(|name| name.starts_with("qa_outputs."))
            .then_some(Task::QuestionAns)
    }

    /// The adapter on a base model.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for virtual tokens of another width or another number of them, [`Error::Setting`] naming what has to be
    /// given, [`Error::File`] for a head that `task` does not have.
    pub fn into_adapter(self, task: Task, base: &Base<'_>) -> Result<Adapter> {
        let (path, layout, rows) = (self.source.path, self.layout, self.rows);
        let of_peft = matches!(layout, Layout::PeftFile | Layout::PeftState);
        let rows = match (rows, base.spec) {
            (Rows::Either(rows), Some(spec)) => by_width(rows, spec, of_peft, &path)?,
            (Rows::Either(rows), None) => Rows::Prompt(rows),
            (rows, _) => rows,
        };
        let check = |rows: &TensorData, width, what| check_width(rows, width, what, base, &path);
        let mut adapter = match rows {
            Rows::Prompt(rows) | Rows::Either(rows) => {
                check(&rows, base.spec.map(|spec| spec.hidden_size), "a prompt")?;
                let rows = match layout == Layout::PeftState && task == Task::Seq2SeqLm {
                    true => used_rows(rows, base.num_virtual_tokens, &path)?,
                    false => rows,
                };
                prompt_file::adapter(rows, task, base.name.clone())
            }
            Rows::Prefix(rows) if of_peft => {
                let site = base.spec.map(site_of_peft).transpose()?;
                check(&rows, site.map(SiteSpec::prefix_width), "a prefix")?;
                prefix(rows, task, base, None)
            }
            Rows::Prefix(rows) => match base.spec.filter(|spec| spec.is_encoder_decoder()) {
                Some(_) => at_sites(vec![(Site::DecoderSelf, rows)], task, base, &path)?,
                None => {
                    let site = base.spec.map(ModelSpec::self_site).transpose()?;
                    check(&rows, site.map(SiteSpec::prefix_width), "a prefix")?;
                    let method = if layout == Layout::ControlTrans { "prefix" } else { "ptv2" };
                    prefix(rows, task, base, Some(method))
                }
            },
            Rows::Sites(sites) => at_sites(sites, task, base, &path)?,
        };
        let p = adapter.config.num_virtual_tokens;
        if let Some(asked) = base.num_virtual_tokens.filter(|asked| *asked != p) {
            let message = format!("found {asked}, but {} holds {p} virtual tokens", path.display());
            return Err(Error::setting("num_virtual_tokens", message));
        }
        adapter.config.own.ignores_token_types = of_peft && task == Task::QuestionAns;
        adapter.tensors.extend(head(self.surplus, task, &path)?);
        Ok(adapter)
    }
}

/// Whether rows whose name does not say are a prompt or a prefix of this base model.
fn by_width(rows: TensorData, spec: &ModelSpec, of_peft: bool, path: &Path) -> Result<Rows> {
    let width = rows.shape()[1];
    let site = match of_peft {
        true => site_of_peft(spec)?,
        false => spec
            .site(Site::DecoderSelf)
            .or(spec.sites.first())
            .map_or_else(|| spec.self_site(), Ok)?,
    };
    let of_prefix = site.prefix_width();
    match (width == spec.hidden_size, width == of_prefix) {
        (true, false) => Ok(Rows::Prompt(rows)),
        (false, true) => Ok(Rows::Prefix(rows)),
        (true, true) => {
            let message = format!(
                "has rows of {width} values, which on this {} model are a prompt or a prefix: give the folder with its \
                 adapter_config.json",
                spec.model_type
            );
            Err(Error::file(path, message))
        }
        (false, false) => Err(Error::Mismatch(format!(
            "{}: was made for another base model: its rows have the shape {:?}, but on this {} model a prompt needs \
             [P, {}] and a prefix [P, {of_prefix}]",
            path.display(),
            rows.shape().as_slice(),
            spec.model_type,
            spec.hidden_size
        ))),
    }
}

fn check_width(
    rows: &TensorData,
    width: Option<usize>,
    what: &str,
    base: &Base<'_>,
    path: &Path,
) -> Result<()> {
    let found = rows.shape();
    match (width, base.spec) {
        (Some(width), Some(spec)) if width != found[1] => Err(Error::Mismatch(format!(
            "{}: was made for another base model: it holds {what} of the shape {:?}, but this {} model needs [{}, {width}]",
            path.display(),
            found.as_slice(),
            spec.model_type,
            found[0]
        ))),
        _ => Ok(()),
    }
}

/// The rows of a prompt of PEFT for an encoder-decoder that are used: the first P of 2 P, as PEFT makes them by
/// default.
fn used_rows(rows: TensorData, p: Option<usize>, path: &Path) -> Result<TensorData> {
    let (found, width) = (rows.shape()[0], rows.shape()[1]);
    match p {
        Some(p) if found == p => Ok(rows),
        Some(p) if Some(found) == p.checked_mul(2) => {
            let first: Vec<f32> = rows.iter::<f32>().take(p * width).collect();
            Ok(TensorData::new(first, [p, width]))
        }
        Some(p) => Err(Error::setting(
            "num_virtual_tokens",
            format!(
                "found {p}, but {} holds {found} rows: expected as many, or half",
                path.display()
            ),
        )),
        None => Err(Error::setting(
            "num_virtual_tokens",
            format!(
                "is missing: {} holds {found} rows for an encoder-decoder, which are P or, as PEFT makes them by default, 2 P",
                path.display()
            ),
        )),
    }
}

/// The attention site of PEFT's prefixes.
fn site_of_peft(spec: &ModelSpec) -> Result<&SiteSpec> {
    match spec.site(Site::DecoderSelf) {
        Some(site) => Ok(site),
        None => spec.self_site(),
    }
}

/// PEFT's fields of a prefix without its MLP.
fn prefix_fields(width: Option<usize>) -> Map<String, Value> {
    Map::from_iter([
        ("prefix_projection".to_string(), Value::Bool(false)),
        ("encoder_hidden_size".to_string(), Value::from(width)),
        ("init_weights".to_string(), Value::Null),
    ])
}

/// An adapter of keys and values for a model with one stack; `method` is `None` for one of PEFT.
fn prefix(rows: TensorData, task: Task, base: &Base<'_>, method: Option<&str>) -> Adapter {
    let site = base.spec.and_then(|spec| site_of_peft(spec).ok());
    let width = site.map(|site| site.kv_width() / 2);
    let config = AdapterConfig {
        peft_type: PeftType::PrefixTuning,
        task: Some(task),
        base_model: base.name.clone(),
        num_virtual_tokens: rows.shape()[0],
        // PEFT fills in what is missing.
        token_dim: width,
        num_attention_heads: site.map(|site| site.num_kv_heads),
        num_layers: site.map(|site| site.num_layers),
        extra: prefix_fields(width),
        own: OwnFields { method: method.map(Into::into), ..OwnFields::default() },
    };
    Adapter { config, tensors: NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), rows)]) }
}

/// An adapter of Li & Liang for the attention sites of an encoder-decoder.
fn at_sites(
    sites: Vec<(Site, TensorData)>,
    task: Task,
    base: &Base<'_>,
    path: &Path,
) -> Result<Adapter> {
    let Some(spec) = base.spec else {
        let message = format!(
            "is missing: {} holds prefixes of an encoder-decoder, which have to fit it",
            path.display()
        );
        return Err(Error::setting("model", message));
    };
    let p = sites.first().map_or(0, |(_, rows)| rows.shape()[0]);
    for (site, rows) in &sites {
        let fits = spec.site(*site).filter(|_| spec.is_encoder_decoder()).ok_or_else(|| {
            Error::Mismatch(format!(
                "{}: holds a prefix for the attention site {site} of an encoder-decoder, but this is a {} model",
                path.display(),
                spec.model_type
            ))
        })?;
        check_width(rows, Some(fits.prefix_width()), &format!("a prefix for {site}"), base, path)?;
        if rows.shape()[0] != p {
            let message =
                format!("holds prefixes of {p} and of {} virtual tokens", rows.shape()[0]);
            return Err(Error::file(path, message));
        }
    }
    let fields = MethodFields {
        method: "prefix",
        peft_type: PeftType::PrefixTuningSites,
        num_virtual_tokens: p,
        layers: None,
        // As in Li & Liang's code.
        sites: Some(StoredSites {
            sites: sites.iter().map(|(site, _)| *site).collect(),
            positions: PrefixPositions::Unshifted,
            relative_bias: false,
        }),
        extra: prefix_fields(Some(spec.hidden_size)),
        settings: Value::Null,
    };
    let mut config = AdapterConfig::new(fields, spec, task, Pooling::First)?;
    config.base_model = base.name.clone();
    let tensors = sites.into_iter().map(|(site, rows)| (tensor_of(site), rows)).collect();
    Ok(Adapter { config, tensors })
}

/// The head of the task.
fn head(surplus: Surplus, task: Task, path: &Path) -> Result<NamedTensors> {
    let Surplus { mut head, pooler, backbone } = surplus;
    let modules = crate::contract::head::HeadLayout::module_names(task);
    if let Some(name) =
        head.keys().find(|name| !modules.iter().any(|module| name.starts_with(module)))
    {
        let message = format!("is a head, which the task {task} does not have");
        return Err(Error::tensor(path, name, message));
    }
    let of_roberta = !pooler.is_empty() || backbone.iter().any(|name| name.starts_with("roberta."));
    if of_roberta && task == Task::SeqCls && head.contains_key("classifier.weight") {
        // P-tuning v2 classifies what the pooler makes: the two layers of this head.
        if pooler.len() != 2 {
            let message = "is missing: P-tuning v2 reads RoBERTa's rows through this pooler, which the file has to hold";
            return Err(Error::tensor(path, "roberta.pooler.dense.weight", message));
        }
        for part in ["weight", "bias"] {
            if let Some(data) = head.remove(&format!("classifier.{part}")) {
                head.insert(format!("classifier.out_proj.{part}"), data);
            }
        }
        head.extend(pooler);
    }
    Ok(head)
}
