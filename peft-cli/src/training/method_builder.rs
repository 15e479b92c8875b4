//! From settings to a method, ready to be trained.

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, FrozenModel, PeftMethod, PeftType, Result, Task,
    data::Labels,
    methods::{head_only::HeadOnly, prefix::Placement},
};
use peft_prefix::{PrefixConfig, PrefixTuning};
use peft_prompt::{PromptConfig, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config};

use super::trained_numbers::Trained;
use crate::{
    flags::{choices::PREFIX_POSITIONS, field_flags::as_flag, method_name::MethodName},
    model_dir::ModelDir,
    settings::{
        Settings,
        lists::{parse_layers, parse_sites},
        resolve::LARGEST,
    },
};

/// The most numbers that a method trains: 1 GiB of them, several times that with gradients and moments.
const MOST_TRAINED: usize = 1 << 28;

/// Makes the method of a run, of whatever kind, from its settings.
#[derive(Debug)]
pub struct MethodBuilder<'a> {
    /// The run's settings.
    pub settings: &'a Settings,
    /// The frozen model.
    pub model: &'a dyn FrozenModel,
    /// Its folder, where its tokenizer is.
    pub dir: &'a ModelDir,
    /// Names of the classes, for `--init labels`.
    pub labels: Option<&'a Labels>,
    /// The adapter of `--init-adapter`.
    pub adapter: Option<&'a Adapter>,
    /// The autodiff device.
    pub device: Device,
}

impl MethodBuilder<'_> {
    /// Prompt tuning.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn prompt(&self) -> Result<PromptTuning> {
        let config = self.prompt_config()?;
        if let Some(state) = self.adapter_state(MethodName::Prompt)? {
            self.refuse_encoder(config.encoder.as_ref())?;
            return PromptTuning::from_state(config, self.model.spec(), &state, &self.device);
        }
        PromptTuning::init(
            config,
            self.model,
            &self.prompt_init()?,
            self.settings.seed(),
            &self.device,
        )
    }

    /// The settings of prompt tuning on this model.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn prompt_config(&self) -> Result<PromptConfig> {
        self.check_uses(MethodName::Prompt)?;
        let encoder = self.settings.encoder()?;
        let p = self.num_virtual_tokens(MethodName::Prompt)?;
        Ok(PromptConfig::new(p).with_encoder(encoder))
    }

    /// The settings of prefix tuning on this model.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn prefix_config(&self) -> Result<PrefixConfig> {
        let (method, settings) = (MethodName::Prefix, self.settings);
        self.check_uses(method)?;
        let mut config = PrefixConfig::new(self.num_virtual_tokens(method)?)
            .with_placement(self.placement()?)
            .with_prefix_projection(settings.has_projection(method))
            .with_dropout(settings.prefix_dropout.unwrap_or(method.default_dropout()));
        if let Some(size) = self.hidden_size(method)? {
            config = config.with_hidden_size(size);
        }
        Ok(config)
    }

    /// Prefix tuning.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn prefix(&self) -> Result<PrefixTuning> {
        let (method, config) = (MethodName::Prefix, self.prefix_config()?);
        if let Some(state) = self.adapter_state(method)? {
            self.refuse_projection(method)?;
            return PrefixTuning::from_state(config, self.model.spec(), &state, &self.device)
                .map_err(as_flag);
        }
        let init = self.prefix_init()?;
        PrefixTuning::init(config, self.model, &init, self.settings.seed(), &self.device)
            .map_err(as_flag)
    }

    /// The settings of P-tuning v2 on this model.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn ptv2_config(&self) -> Result<PTuningV2Config> {
        let (method, settings) = (MethodName::Ptv2, self.settings);
        self.check_uses(method)?;
        let layers = self.layers()?;
        let mut config = PTuningV2Config::new(self.num_virtual_tokens(method)?)
            .with_layers(layers)
            .with_placement(self.placement()?)
            .with_prefix_projection(settings.has_projection(method))
            .with_dropout(settings.prefix_dropout.unwrap_or(method.default_dropout()));
        if let Some(size) = self.hidden_size(method)? {
            config = config.with_hidden_size(size);
        }
        Ok(config)
    }

    /// P-tuning v2.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that cannot be used.
    pub fn ptv2(&self) -> Result<PTuningV2> {
        let (method, config) = (MethodName::Ptv2, self.ptv2_config()?);
        if let Some(state) = self.adapter_state(method)? {
            self.refuse_projection(method)?;
            return PTuningV2::from_state(config, self.model.spec(), &state, &self.device)
                .map_err(as_flag);
        }
        let init = self.ptv2_init()?;
        PTuningV2::init(config, self.model, &init, self.settings.seed(), &self.device)
            .map_err(as_flag)
    }

    /// The head alone.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a task without a head, or a setting of virtual tokens.
    pub fn head(&self) -> Result<HeadOnly> {
        if !self.settings.task.is_some_and(Task::has_head) {
            return Err(Error::setting("--method", "head: only classification has a head"));
        }
        self.check_uses(MethodName::Head)?;
        Ok(HeadOnly::new())
    }

    /// Refuses settings that the method does not have.
    fn check_uses(&self, method: MethodName) -> Result<()> {
        use MethodName::{Prefix, Prompt, Ptv2};
        let settings = self.settings;
        let given: [(&str, bool, &[MethodName]); 15] = [
            (
                "--num-virtual-tokens",
                settings.num_virtual_tokens.is_some(),
                &[Prompt, Prefix, Ptv2],
            ),
            ("--init", settings.init.is_some(), &[Prompt, Prefix, Ptv2]),
            ("--init-text", settings.init_text.is_some(), &[Prompt, Prefix, Ptv2]),
            ("--reparameterization", settings.reparameterization.is_some(), &[Prompt]),
            ("--encoder-hidden-size", settings.encoder_hidden_size.is_some(), &[Prompt]),
            ("--encoder-num-layers", settings.encoder_num_layers.is_some(), &[Prompt]),
            ("--encoder-dropout", settings.encoder_dropout.is_some(), &[Prompt]),
            ("--layers", settings.layers.is_some(), &[Ptv2]),
            ("--prefix-projection", settings.prefix_projection.is_some(), &[Prefix, Ptv2]),
            ("--prefix-hidden-size", settings.prefix_hidden_size.is_some(), &[Prefix, Ptv2]),
            ("--prefix-dropout", settings.prefix_dropout.is_some(), &[Prefix, Ptv2]),
            ("--sites", settings.sites.is_some(), &[Prefix, Ptv2]),
            ("--prefix-positions", settings.prefix_positions.is_some(), &[Prefix, Ptv2]),
            ("--relative-bias", settings.relative_bias.is_some(), &[Prefix, Ptv2]),
            ("--infix", settings.infix.is_some(), &[Prefix, Ptv2]),
        ];
        match given.iter().find(|(_, given, users)| *given && !users.contains(&method)) {
            Some((flag, ..)) => {
                Err(Error::setting(*flag, format!("{} has no such setting", method.name())))
            }
            None => Ok(()),
        }
    }

    /// P: the adapter's, otherwise as set, otherwise the default.
    fn num_virtual_tokens(&self, method: MethodName) -> Result<usize> {
        let refuse = |message: String| Err(Error::setting("--num-virtual-tokens", message));
        let asked = self.settings.num_virtual_tokens;
        if let Some(adapter) = self.adapter {
            let found = adapter.config.num_virtual_tokens;
            return match asked {
                Some(asked) if found != asked => {
                    refuse(format!("found {asked}, the adapter of --init-adapter has {found}"))
                }
                _ => Ok(found),
            };
        }
        let p = asked.unwrap_or(method.default_num_virtual_tokens());
        // Checked before anything of that size is made; rows are checked later.
        match self.model.spec().max_positions {
            Some(limit) if p >= limit => {
                refuse(format!("found {p}, the model has {limit} positions for them and the rows"))
            }
            _ if p > LARGEST => refuse(format!("found {p}, expected at most {LARGEST}")),
            _ => self.check_trained(method, p).map(|()| p),
        }
    }

    /// Refuses a method that would train more numbers than memory has space for, with their gradients and what an
    /// optimizer keeps of them.
    fn check_trained(&self, method: MethodName, p: usize) -> Result<()> {
        let numbers = Trained::of(self.settings, self.model.spec(), method, p);
        let trained = numbers.total();
        if trained <= MOST_TRAINED {
            return Ok(());
        }
        let (flag, found) = match numbers.of_mlp > numbers.virtual_tokens {
            true => numbers.size,
            false => ("--num-virtual-tokens", p),
        };
        let message = format!(
            "found {found}, with which {trained} numbers would be trained on this model, expected at most {MOST_TRAINED}"
        );
        Err(Error::setting(flag, message))
    }

    /// The width of the MLP, if it is given and there is an MLP.
    fn hidden_size(&self, method: MethodName) -> Result<Option<usize>> {
        let asked = self.settings.prefix_hidden_size;
        if asked.is_some() && !self.settings.has_projection(method) {
            let message = "not used without --prefix-projection";
            return Err(Error::setting("--prefix-hidden-size", message));
        }
        Ok(asked)
    }

    /// The layers of P-tuning v2: the adapter's, otherwise as set, otherwise all.
    fn layers(&self) -> Result<Option<Vec<usize>>> {
        let of_adapter = self
            .adapter
            .filter(|adapter| adapter.config.peft_type != PeftType::PrefixTuning)
            .and_then(|adapter| adapter.config.own.layers.clone());
        let asked = self.settings.layers.as_deref().map(parse_layers).transpose()?;
        match (of_adapter, asked) {
            (Some(found), Some(asked)) if found != asked => {
                let message =
                    format!("found {asked:?}, the adapter of --init-adapter has {found:?}");
                Err(Error::setting("--layers", message))
            }
            (found, asked) => Ok(found.or(asked)),
        }
    }

    /// Whether virtual tokens stand between source and target: as in the adapter to start from, otherwise as set.
    fn infix(&self) -> Result<bool> {
        let (settings, spec) = (self.settings, self.model.spec());
        let refuse = |message: String| Err(Error::setting("--infix", message));
        let of_adapter =
            self.adapter.map(|adapter| adapter.config.peft_type == PeftType::InfixTuning);
        match (of_adapter, settings.infix) {
            (Some(true), Some(false)) => {
                return refuse("found false, the adapter of --init-adapter is an infix".into());
            }
            (Some(false), Some(true)) => {
                return refuse("found true, the adapter of --init-adapter is a prefix".into());
            }
            _ => {}
        }
        if !of_adapter.or(settings.infix).unwrap_or_default() {
            return Ok(false);
        }
        let way_out = "leave it out, for a prefix";
        if !spec.is_causal() {
            let name = &spec.model_type;
            return refuse(format!(
                "an infix stands in the row of a decoder, and a {name} model has none: {way_out}"
            ));
        }
        if let Some(task) = settings.task.filter(|task| *task != Task::CausalLm) {
            return refuse(format!(
                "an infix stands between the source and the target of a row of {}, and {task} has no such rows: \
                 {way_out}",
                Task::CausalLm
            ));
        }
        if settings.packing == Some(true) {
            let message =
                "not with an infix, which has one place in a row: leave out it, or --infix";
            return Err(Error::setting("--packing", message));
        }
        Ok(true)
    }

    /// Where a prefix goes on an encoder-decoder or a decoder: as the adapter to start from has it, otherwise as set.
    fn placement(&self) -> Result<Placement> {
        let settings = self.settings;
        let positions = settings.prefix_positions.as_deref();
        let asked = Placement {
            sites: settings.sites.as_deref().map(parse_sites).transpose()?,
            prefix_positions: positions.map(|name| PREFIX_POSITIONS.parse(name)).transpose()?,
            relative_bias: settings.relative_bias,
            infix: self.infix()?,
        };
        let given = [
            ("--sites", asked.sites.is_some()),
            ("--prefix-positions", asked.prefix_positions.is_some()),
            ("--relative-bias", asked.relative_bias.is_some()),
        ];
        let spec = self.model.spec();
        let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) else {
            let of_adapter = |adapter: &Adapter| adapter.placement(spec);
            return Ok(self.adapter.map(of_adapter).unwrap_or(asked));
        };
        if self.adapter.is_some() {
            let message = "not used with --init-adapter, whose adapter has its own";
            return Err(Error::setting(flag, message));
        }
        if !spec.is_encoder_decoder() {
            let message =
                format!("not used by a {} model, which has one attention site", spec.model_type);
            return Err(Error::setting(flag, message));
        }
        Ok(asked)
    }
}
