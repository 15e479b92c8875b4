//! From what an adapter stores to what a model takes.

use burn::tensor::{Device, Tensor, TensorData};

use super::{
    folder::Adapter,
    foreign::{EMBEDDINGS, LM_HEAD, TensorsByName, is_embedding, is_head, is_same},
};
use crate::{
    contract::{
        head::{Head, HeadLayout},
        layout::{self, PROMPT_EMBEDDINGS},
        peft_type::PeftType,
        spec::{ModelSpec, Site, SiteSpec},
        task::Task,
        tensors::NamedTensors,
        virtual_tokens::{Content, PrefixPositions, SiteKeyValues, VirtualTokens, check_has_infix},
    },
    error::{Error, Result},
    methods::prefix::Placement,
};

impl Adapter {
    /// Returns the virtual tokens, on the plain `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the adapter was made for a model of another geometry.
    pub fn virtual_tokens(&self, spec: &ModelSpec, device: &Device) -> Result<VirtualTokens> {
        let mut made = self.stored_tokens(spec, device)?;
        made.ignores_token_types = self.config.own.ignores_token_types;
        Ok(made)
    }

    /// The virtual tokens, before what the config says of the rows that follow them.
    fn stored_tokens(&self, spec: &ModelSpec, device: &Device) -> Result<VirtualTokens> {
        if self.config.peft_type == PeftType::PrefixTuningSites {
            return self.three_sites(spec, device);
        }
        let Some(data) = self.tensors.get(PROMPT_EMBEDDINGS) else {
            return Ok(VirtualTokens::none());
        };
        let [rows, width] = sizes_of(PROMPT_EMBEDDINGS, data)?;
        if self.config.peft_type.is_prompt() {
            if width != spec.hidden_size {
                let shape = [rows, width];
                return Err(Error::Mismatch(format!(
                    "the adapter was made for another base model: its prompt has the shape \
                     {shape:?}, but this {} model needs [{}, {}]",
                    spec.model_type, self.config.num_virtual_tokens, spec.hidden_size
                )));
            }
            return Ok(VirtualTokens::embeddings(upload(data, device).unsqueeze()));
        }
        let infix = self.config.peft_type == PeftType::InfixTuning;
        if infix {
            check_has_infix(spec)?;
        }
        if spec.is_encoder_decoder() {
            let site = decoder_site(spec)?;
            let made = peft_decoder_prefix(upload(data, device), site, &self.config.num_layers)?;
            return Ok(VirtualTokens::key_values(vec![made]));
        }
        let site = spec.self_site()?;
        let layers = self.layers(site.num_layers)?;
        self.check_width([rows, width], spec, site, layers.len())?;
        let flat = upload(data, device);
        let mut made = VirtualTokens::key_values(vec![layout::to_key_values(flat, site, &layers)]);
        made.infix = infix;
        Ok(made)
    }

    /// Returns the tensors from which a method continues to train this adapter:
    /// `prompt_embeddings`, with the site appended for the prefixes of an encoder-decoder. What
    /// PEFT never reads is left out.
    ///
    /// # Errors
    ///
    /// As [`virtual_tokens`](Self::virtual_tokens).
    pub fn training_state(&self, spec: &ModelSpec, device: &Device) -> Result<NamedTensors> {
        let made = self.virtual_tokens(spec, device)?;
        let Content::KeyValues(sites) = &made.content else {
            let stored = self.tensors.iter().filter(|(name, _)| layout::is_virtual(name));
            return Ok(stored.map(|(name, data)| (name.clone(), data.clone())).collect());
        };
        let name = |site| match spec.is_encoder_decoder() {
            true => layout::tensor_of(site),
            false => PROMPT_EMBEDDINGS.to_string(),
        };
        let flat = sites
            .iter()
            .filter_map(|site| Some((name(site.site), layout::to_flat(site)?.into_data())));
        Ok(flat.collect())
    }

    /// Where the prefix goes: as the adapter says or, if PEFT made it, as PEFT computes it.
    pub fn placement(&self, spec: &ModelSpec) -> Placement {
        if !spec.is_encoder_decoder() || self.config.peft_type.is_prompt() {
            let infix = self.config.peft_type == PeftType::InfixTuning;
            return Placement { infix, ..Placement::default() };
        }
        let own = &self.config.own;
        match self.config.peft_type {
            PeftType::PrefixTuningSites => Placement {
                sites: own.sites.clone(),
                prefix_positions: own.prefix_positions,
                relative_bias: own.relative_bias,
                infix: false,
            },
            _ => Placement {
                sites: Some(vec![Site::DecoderSelf]),
                prefix_positions: Some(PrefixPositions::Shifted),
                relative_bias: Some(true),
                infix: false,
            },
        }
    }

    /// The prefixes of an encoder-decoder, one for each site that has one.
    fn three_sites(&self, spec: &ModelSpec, device: &Device) -> Result<VirtualTokens> {
        let sites = self.config.own.sites.as_deref().unwrap_or_default();
        if sites.is_empty() || !sites.is_sorted_by(|a, b| a < b) {
            return Err(Error::Mismatch(format!(
                "the adapter has prefixes for the attention sites {sites:?}, expected at least one, each \
                 once, in the order encoder-self, decoder-self, cross"
            )));
        }
        let mut made = Vec::new();
        for site in sites {
            let Some(site) = spec.site(*site).filter(|_| spec.is_encoder_decoder()) else {
                return Err(Error::Mismatch(format!(
                    "the adapter has a prefix for the attention site {site} of an encoder-decoder, but \
                     this is a {} model",
                    spec.model_type
                )));
            };
            let name = layout::tensor_of(site.site);
            let data = self
                .tensors
                .get(&name)
                .ok_or_else(|| Error::Mismatch(format!("the adapter has no tensor `{name}`")))?;
            let layers = self.layers(site.num_layers)?;
            self.check_width(sizes_of(&name, data)?, spec, site, layers.len())?;
            made.push(layout::to_key_values(upload(data, device), site, &layers));
        }
        let mut made = VirtualTokens::key_values(made);
        made.positions = self.config.own.prefix_positions.unwrap_or(PrefixPositions::Unshifted);
        made.relative_bias = self.config.own.relative_bias.unwrap_or(false);
        Ok(made)
    }

    fn check_width(
        &self,
        shape: [usize; 2],
        spec: &ModelSpec,
        site: &SiteSpec,
        layers: usize,
    ) -> Result<()> {
        let width = layers * site.kv_width();
        if shape[1] == width {
            return Ok(());
        }
        Err(Error::Mismatch(format!(
            "the adapter was made for another base model: its keys and values have the shape {shape:?}, \
             but this {} model with {layers} layers, {} key/value heads of size {} needs [{}, {width}]",
            spec.model_type, site.num_kv_heads, site.head_dim, self.config.num_virtual_tokens
        )))
    }

    /// Returns the layers that have virtual tokens, for a model with `num_layers` layers.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a layer that the model does not have, or layers that are not in
    /// ascending order.
    pub fn layers(&self, num_layers: usize) -> Result<Vec<usize>> {
        match (&self.config.own.layers, self.config.peft_type) {
            (
                Some(layers),
                PeftType::PrefixTuningLayers | PeftType::PrefixTuningSites | PeftType::InfixTuning,
            ) => {
                if layers.is_empty() || !layers.is_sorted_by(|a, b| a < b) {
                    return Err(Error::Mismatch(format!(
                        "the adapter has virtual tokens for the layers {layers:?}, expected at least one, \
                         each once, in rising order"
                    )));
                }
                match layers.iter().find(|layer| **layer >= num_layers) {
                    Some(layer) => Err(Error::Mismatch(format!(
                        "the adapter has virtual tokens for layer {layer}, but the model has layers 0 to {}",
                        num_layers - 1
                    ))),
                    None => Ok(layers.clone()),
                }
            }
            _ => Ok((0..num_layers).collect()),
        }
    }

    /// The names of the tensors that are neither virtual tokens nor part of a head.
    pub fn surplus(&self) -> impl Iterator<Item = &str> {
        let surplus = |name: &&str| !layout::is_virtual(name) && !HeadLayout::is_head_tensor(name);
        self.tensors.keys().map(String::as_str).filter(surplus)
    }

    /// Checks that what PEFT would put into the base model is there already: parts other than the head that were
    /// trained with the virtual tokens, and embeddings, which it saves where the vocabulary grew. `base` gives the
    /// tensors of the base model by their names in its files.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming a tensor that the base model does not have, or has in another shape or with other
    /// values, and how to save a base model that has it: the one given is never changed.
    pub fn check_surplus(&self, base: TensorsByName<'_>) -> Result<()> {
        for name in self.surplus() {
            let found = &self.tensors[name];
            let is_embedding = is_embedding(name);
            // A head that is tied to the embeddings has no tensor of its own, or they have none.
            let own = match base(name)? {
                None if is_head(name) => {
                    EMBEDDINGS.iter().find_map(|name| base(name).transpose()).transpose()?
                }
                None if is_embedding => base(LM_HEAD)?,
                own => own,
            };
            let Some(own) = own else {
                return Err(Error::Mismatch(format!(
                    "the adapter has the tensor `{name}`, which PEFT puts into the base model; the base model given has \
                     none of that name, and is never changed: save a base model that has it"
                )));
            };
            let (shape, own_shape) = (found.shape(), own.shape());
            if shape == own_shape && is_same(&own, found) {
                continue;
            }
            let given = match shape == own_shape {
                true => "has other values there".to_string(),
                false => format!("has the shape {:?} there", own_shape.as_slice()),
            };
            let mut steps = Vec::new();
            if let Some(rows) = shape.first()
                && shape != own_shape
                && (is_embedding || is_head(name))
            {
                steps.push(format!("base.resize_token_embeddings({rows})"));
            }
            let is_lm = self.config.task.is_some_and(Task::is_language_model);
            if is_embedding
                && is_lm
                && !self.tensors.contains_key(LM_HEAD)
                && base(LM_HEAD)?.is_none()
            {
                // PEFT leaves the head as it was, which a new base would tie to the new embeddings.
                steps.push(UNTIE.into());
            }
            steps.push(FILL.into());
            return Err(Error::Mismatch(format!(
                "the adapter has the tensor `{name}` of the shape {:?}, which PEFT puts in place of the base model's; \
                 the base model given {given}, and is never changed. Save one that has it, and give that folder; in Python, \
                 where `base` is the model of transformers: {}; base.save_pretrained(\"FOLDER\"), and the files of its tokenizer",
                shape.as_slice(),
                steps.join("; ")
            )));
        }
        Ok(())
    }

    /// Returns the trained head, if the adapter has one.
    ///
    /// # Errors
    ///
    /// As for [`Head::from_state`], and for a tensor of a head that `layout` does not have.
    pub fn head(
        &self,
        layout: HeadLayout,
        spec: &ModelSpec,
        device: &Device,
    ) -> Result<Option<Head>> {
        layout.check_no_other(&self.tensors)?;
        if !self.tensors.contains_key(&layout.weight_name()) {
            return Ok(None);
        }
        Head::from_state(layout, spec.hidden_size, &self.tensors, device).map(Some)
    }
}

/// Python that gives a model a head of its own.
const UNTIE: &str = "base.lm_head.weight = torch.nn.Parameter(base.lm_head.weight.detach().clone()); \
    base.config.tie_word_embeddings = False";

/// Python that puts the tensors of an adapter into a model.
const FILL: &str = "base.load_state_dict({name.removeprefix(\"base_model.\"): tensor for name, tensor in \
    peft.utils.load_peft_weights(\"ADAPTER\").items()}, strict=False)";

/// The attention site of an encoder-decoder that PEFT's prefixes reach.
fn decoder_site(spec: &ModelSpec) -> Result<&SiteSpec> {
    spec.site(Site::DecoderSelf)
        .ok_or_else(|| Error::Mismatch(format!("a {} model has no decoder", spec.model_type)))
}

/// What PEFT computes with a prefix on an encoder-decoder: the decoder's self-attention in layer i
/// reads slot `2 i mod L` of the L stored slots. The other slots are never read.
///
/// # Shapes
///
/// - flat: `[P, L * 2 * K * D]`
///
/// # Errors
///
/// [`Error::Mismatch`] if the number of slots in the tensor is not `num_layers`, or not whole.
pub fn peft_decoder_prefix(
    flat: Tensor<2>,
    site: &SiteSpec,
    num_layers: &Option<usize>,
) -> Result<SiteKeyValues> {
    let [p, width] = flat.dims();
    let slots = width / site.kv_width();
    if slots * site.kv_width() != width || slots == 0 || num_layers.is_some_and(|l| l != slots) {
        return Err(Error::Mismatch(format!(
            "the adapter was made for another base model: its keys and values have the shape \
             [{p}, {width}], but {} layers of {} heads of size {} need [{p}, {}]",
            num_layers.unwrap_or(site.num_layers),
            site.num_kv_heads,
            site.head_dim,
            num_layers.unwrap_or(site.num_layers) * site.kv_width()
        )));
    }
    let stored = SiteSpec { num_layers: slots, ..site.clone() };
    let stored = layout::to_key_values(flat, &stored, &(0..slots).collect::<Vec<_>>());
    let layers = (0..site.num_layers).map(|layer| stored.layers[2 * layer % slots].clone());
    Ok(SiteKeyValues { site: site.site, layers: layers.collect() })
}

/// The sizes of a tensor that is to be a matrix.
fn sizes_of(name: &str, data: &TensorData) -> Result<[usize; 2]> {
    let shape = data.shape().as_slice();
    shape.try_into().map_err(|_| {
        Error::Mismatch(format!(
            "`{name}` has the shape {shape:?}, expected a matrix with a row for each virtual token"
        ))
    })
}

fn upload(data: &TensorData, device: &Device) -> Tensor<2> {
    Tensor::from_data(data.clone(), (device, data.dtype()))
}
